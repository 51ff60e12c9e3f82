"""``distill bench`` through OpenMM."""

from collections.abc import Callable
from functools import partial
from typing import Any

import openmm
from ase import Atoms
from openmm import app

from distill.student import Student
from distill_openmm.force import create_force


def make(
    platform: str, kind: str, case: Any, student: Student, atoms: Atoms
) -> Callable[[int], None]:
    """Langevin MD at 0.5 fs with the student as the only force; see ``distill.bench.engines``."""
    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    system = openmm.System()
    for z, mass in zip(atoms.numbers, atoms.get_masses()):
        topology.addAtom("X", app.Element.getByAtomicNumber(int(z)), residue)
        system.addParticle(mass)
    if atoms.pbc.any():
        box = [openmm.Vec3(*row) for row in atoms.cell.array * 0.1]
        topology.setPeriodicBoxVectors(box * openmm.unit.nanometer)
        system.setDefaultPeriodicBoxVectors(*box)
    options = {"dtype": case.dtype, "kind": kind, "threads": case.threads}
    system.addForce(create_force(student, topology, **options))
    integrator = openmm.LangevinMiddleIntegrator(300, 1.0, 0.0005)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatform(platform))
    context.setPositions(atoms.positions * 0.1)
    context.setVelocitiesToTemperature(300, 0)
    context.getState(energy=True)  # what is wrong shows here

    def run(steps: int, context: openmm.Context = context) -> None:  # keeps the context alive
        integrator.step(steps)

    return run


reference = partial(make, "Reference", "torch")
cpu = partial(make, "CPU", "torch")
python = partial(make, "Reference", "python")
