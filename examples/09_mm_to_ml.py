"""From the force field to the student: what it changes in a free energy of solvation, by MBAR.

    python examples/09_mm_to_ml.py --steps 50000

A free energy of the force field's, of solvation or binding, is corrected at its two ends by the
free energy of going from MM to ML there. Here: in implicit water, and in vacuum.
"""

import argparse
from pathlib import Path

import numpy as np
import openmm
from openmm import app
from pymbar import MBAR

from distill_openmm import mixed
from distill_openmm.mixed import STUDENT

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--student", default="tiny", help="a shipped name or a student file")
parser.add_argument("--steps", type=int, default=10000, help="of 1 fs at each lambda")
parser.add_argument("--windows", type=int, default=6)
args, KT = parser.parse_args(), 0.0083144626 * 300
pdb = app.PDBFile(str(Path(__file__).with_name("alanine_dipeptide.pdb")))
lambdas = np.linspace(0, 1, args.windows)


def energy(context: openmm.Context, value: float) -> float:
    """Of the part that depends on lambda, in kJ/mol."""
    context.setParameter("lambda_interpolate", value)
    return context.getState(energy=True, groups={STUDENT}).getPotentialEnergy()._value


def correction(*files: str) -> tuple[float, float]:
    """Free energy from MM to ML and its standard error, in kJ/mol."""
    amber = app.ForceField("amber14-all.xml", *files).createSystem(pdb.topology)
    system = mixed(args.student, pdb.topology, amber, range(22), interpolate=True)
    integrator = openmm.LangevinMiddleIntegrator(300, 5.0, 0.001)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatform("CPU"))
    context.setPositions(pdb.positions)
    start = energy(context, 1.0) - energy(context, 0.0)  # the isolated atoms' energies, mostly
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=100)
    gaps, each = [], args.steps // 200
    for value in lambdas:
        for sample in range(240):
            context.setParameter("lambda_interpolate", value)
            integrator.step(each)
            if sample >= 40:  # before, it gets used to the new lambda
                gaps.append(energy(context, 1.0) - energy(context, 0.0) - start)
    # energies are linear in lambda, so the gap says all
    mbar = MBAR(np.outer(lambdas, gaps) / KT, [200] * len(lambdas))
    print(f"overlap of the windows (1 is the best): {mbar.compute_overlap()['scalar']:.2f}")
    found = mbar.compute_free_energy_differences()
    return tuple(KT * found[name][0, -1] for name in ("Delta_f", "dDelta_f"))


water, vacuum = correction("implicit/obc2.xml"), correction()
error = np.hypot(water[1], vacuum[1])  # too small where samples are correlated
print(f"correction of the solvation: {water[0] - vacuum[0]:.2f} +- {error:.2f} kJ/mol")
