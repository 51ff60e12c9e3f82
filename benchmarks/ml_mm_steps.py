"""The longest time step of ML/MM: NVE drift for each student, step and mass of hydrogens.

    python benchmarks/ml_mm_steps.py "CC(=O)Nc1ccc(O)cc1" -o steps.json
    python benchmarks/ml_mm_steps.py --prmtop wet.prmtop --inpcrd wet.inpcrd -o steps.json

The molecule alone in vacuum (Reference platform), and in its water (CPU platform, one thread, PME;
waters are rigid and their hydrogens stay light), by Verlet's integrator. ``force field`` is the
same without a student, and with bonds to hydrogen constrained. Each run begins after Langevin MD at
300 K with the same masses and steps of 0.5 fs (vacuum) or 1 fs (water). The drift is the slope of a
straight line through the total energy. A stopped call goes on when it is given again; ``--table``
prints what the file holds.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import openmm
import wet
from stability import drift

from distill.evaluate.report import provenance
from distill_openmm import mixed
from distill_openmm.masses import repartition
from distill_openmm.module import KJ_PER_MOL_PER_EV
from distill_openmm.prepared import Prepared
from distill_openmm.region import is_water

ALONE = "force field"


def system_of(student: str, start: Prepared, mass: float) -> openmm.System:
    """With a student, or the force field's own with as heavy hydrogens."""
    heavy = mass if mass > 1.5 else None
    if student != ALONE:
        return mixed(student, start, hydrogen_mass=heavy)
    system = openmm.XmlSerializer.clone(start.system)
    if heavy is not None:
        waters = [r for r in start.topology.residues() if is_water(r)]
        kept = {atom.index for residue in waters for atom in residue.atoms()}
        repartition(start.topology, system, mass, "mass", kept)
    return system


def nve(student: str, start: Prepared, mass: float, step: float, ps: float, seed: int) -> dict:
    """Of a student: steps of ``step`` fs for ``ps``, hydrogens of ``mass`` Da."""
    wet_one = start.system is not None
    warm = openmm.LangevinMiddleIntegrator(300, 5.0, 0.001 if wet_one else 0.0005)
    warm.setRandomNumberSeed(seed)
    both = openmm.CompoundIntegrator()
    both.addIntegrator(warm)
    both.addIntegrator(openmm.VerletIntegrator(step / 1000))
    both.setConstraintTolerance(1e-6)
    context = wet.context(system_of(student, start, mass), both, "CPU" if wet_one else "Reference")
    context.setPositions(start.positions * 0.1)
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=200)
    context.setVelocitiesToTemperature(300, seed)
    both.step(2000)
    both.setCurrentIntegrator(1)
    both.step(2)  # leap-frog velocities settle
    times, energies, every = [], [], 20
    started = time.monotonic()
    n = len(start.positions)
    for block in range(max(10, round(ps * 1000 / step / every))):
        try:
            both.step(every)
            state = context.getState(energy=True)
        except (openmm.OpenMMException, ValueError):
            return {"blew_up_after_ps": block * every * step / 1000}
        times.append((block + 1) * every * step / 1000)
        total = (state.getKineticEnergy() + state.getPotentialEnergy())._value
        energies.append(total / KJ_PER_MOL_PER_EV / n)
        if not abs(energies[-1] - energies[0]) < 0.1:
            return {"blew_up_after_ps": times[-1]}
    seconds = time.monotonic() - started
    found = drift(times[-1], np.array(times), np.array(energies))
    return {**found, "ms_per_step": 1000 * seconds / (len(times) * every), "atoms": n}


def table(result: dict) -> str:
    """Markdown: drift and fluctuation in meV/atom(/ps)."""
    lines = [
        "| energy of the molecule by | hydrogens (Da) | step (fs) | vacuum: drift (meV/atom/ps) | fluctuation (meV/atom) | in water: drift | fluctuation |",  # noqa: E501
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    keys = {key.rsplit(" ", 1)[0] for key in result["runs"]}
    for key in sorted(keys, key=lambda key: (not key.startswith(ALONE), key)):
        student, mass, step = key.rsplit(" ", 2)
        cells = []
        for where in ("vacuum", "water"):
            found = result["runs"].get(f"{key} {where}")
            if found is None:
                cells += ["", ""]
            elif "blew_up_after_ps" in found:
                cells += [f"lost within {found['blew_up_after_ps']:.2g} ps", ""]
            else:
                cells += [f"{found['drift_mev_per_atom_per_ps']:.4f}"]
                cells += [f"{found['fluctuation_mev_per_atom']:.3f}"]
        name = student if student == ALONE else f"`{student}`"
        lines.append(f"| {name} | {mass} | {step} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    wet.add_arguments(parser)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--students", nargs="+", default=[ALONE, "original", "tiny", "ultra-tiny"])
    parser.add_argument("--steps", type=float, nargs="+", default=[1.0, 1.5, 2.0], help="fs")
    parser.add_argument("--masses", type=float, nargs="+", default=[1.0, 3.0], help="Da")
    parser.add_argument("--vacuum-ps", type=float, default=50.0, help="0 for none")
    parser.add_argument("--water-ps", type=float, default=10.0, help="0 for none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="print it and do nothing else")
    arguments = parser.parse_args()
    result: dict = {"runs": {}}
    if arguments.out.exists():
        result = json.loads(arguments.out.read_text())
    if not arguments.table:
        everything = wet.prepared(arguments)
        alone = wet.ligand(everything)
        for student in arguments.students:
            for mass in arguments.masses:
                for step in arguments.steps:
                    for where, start, ps in (
                        ("vacuum", alone, arguments.vacuum_ps),
                        ("water", everything, arguments.water_ps),
                    ):
                        key = f"{student} {mass:g} {step:g} {where}"
                        if key in result["runs"] or not ps or (student == ALONE and start is alone):
                            continue
                        result["runs"][key] = nve(student, start, mass, step, ps, arguments.seed)
                        result |= {"openmm": openmm.version.version, **provenance()}
                        arguments.out.write_text(json.dumps(result, indent=2) + "\n")
                        print(key, json.dumps(result["runs"][key]), flush=True)
    print(table(result))


if __name__ == "__main__":
    main()
