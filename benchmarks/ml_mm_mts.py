"""What multiple time steps gain in ML/MM: processor time for a picosecond, by integrator.

    python benchmarks/ml_mm_mts.py "CC(=O)Nc1ccc(O)cc1" --students tiny original
    python benchmarks/ml_mm_mts.py --prmtop wet.prmtop --inpcrd wet.inpcrd

CPU platform, one thread; PME every outer step, the student and the bonds every inner one. Processor
time is that of the process, so that other work beside it counts little.
"""

import argparse
import json
import time

import openmm
import wet

from distill.evaluate.report import provenance
from distill_openmm import mixed
from distill_openmm.mixed import BONDED, NONBONDED, STUDENT
from distill_openmm.prepared import Prepared

INTEGRATORS: dict[str, tuple[float, int, float | None]] = {
    "1 fs": (1.0, 1, None),
    "2 fs, hydrogens of 3 Da": (2.0, 1, 3.0),
    "2 fs, the student 1 fs, hydrogens of 3 Da": (2.0, 2, 3.0),
    "2 fs, the student 0.5 fs": (2.0, 4, None),
}
"""Outer step, inner steps in it, mass of hydrogens (Da)."""


def seconds_per_ps(student: str, start: Prepared, name: str, steps: int) -> float:
    """Processor time, after a warm-up."""
    outer, inner, mass = INTEGRATORS[name]
    if inner == 1:
        integrator = openmm.LangevinMiddleIntegrator(300, 1.0, outer / 1000)
    else:
        groups = [(NONBONDED, 1), (BONDED, inner), (STUDENT, inner)]
        integrator = openmm.MTSLangevinIntegrator(300, 1.0, outer / 1000, groups)
    context = wet.context(mixed(student, start, hydrogen_mass=mass), integrator, "CPU")
    context.setPositions(start.positions * 0.1)
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=50)
    context.setVelocitiesToTemperature(300, 1)
    integrator.step(20)
    before = time.process_time()
    integrator.step(steps)
    context.getState(energy=True)
    return (time.process_time() - before) / (steps * outer / 1000)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    wet.add_arguments(parser)
    parser.add_argument("--students", nargs="+", default=["ultra-tiny", "tiny", "original"])
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()
    start = wet.prepared(arguments)
    print(json.dumps({"openmm": openmm.version.version, **provenance()}))
    print("| steps | " + " | ".join(f"`{s}`, s/ps" for s in arguments.students) + " |")
    print("| --- |" + " --- |" * len(arguments.students))
    for name in INTEGRATORS:
        cells = [
            f"{seconds_per_ps(student, start, name, arguments.steps):.1f}"
            for student in arguments.students
        ]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
