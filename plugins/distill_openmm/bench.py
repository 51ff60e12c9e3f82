"""``distill bench`` through OpenMM."""

from collections.abc import Callable
from functools import partial
from typing import Any

import openmm
from ase import Atoms
from openmm import app

from distill.student import Student
from distill_openmm.bonds import add_bonds
from distill_openmm.topology import system_of


def make(
    platform: str, kind: str, case: Any, student: Student, atoms: Atoms
) -> Callable[[int], None]:
    """Langevin MD at 0.5 fs with the student as the only force; see ``distill.bench.engines``."""
    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    for z in atoms.numbers:
        topology.addAtom("X", app.Element.getByAtomicNumber(int(z)), residue)
    if atoms.pbc.any():
        topology.setPeriodicBoxVectors(atoms.cell.array * 0.1 * openmm.unit.nanometer)
        add_bonds(topology, atoms.positions * 0.1)
    system = system_of(student, topology, dtype=case.dtype, kind=kind, threads=case.threads)
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
