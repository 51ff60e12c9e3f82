"""Topologies and Systems of molecules that a student moves alone."""

from pathlib import Path
from typing import Any

import openmm
from ase.data import atomic_masses
from openmm import app, unit

from distill.data.molecules import Molecule
from distill.student import Student
from distill_openmm.bonds import zero_bonds
from distill_openmm.force import create_force


def topology_of(molecule: Molecule, residue: str = "MOL", isotopes: bool = True) -> app.Topology:
    """A Topology of one residue, with bonds where they are known. isotopes: with their masses."""
    topology = app.Topology()
    place = topology.addResidue(residue, topology.addChain())
    atoms = []
    seen: dict[str, int] = {}
    for number, mass in zip(molecule.numbers, molecule.masses):
        element = app.Element.getByAtomicNumber(int(number))
        if isotopes and mass != atomic_masses[number]:
            element = Isotope(element, mass)
        seen[element.symbol] = seen.get(element.symbol, 0) + 1
        name = f"{element.symbol}{seen[element.symbol]}"
        atoms.append(topology.addAtom(name, element, place))
    if molecule.rdmol is not None:
        for bond in molecule.rdmol.GetBonds():
            topology.addBond(atoms[bond.GetBeginAtomIdx()], atoms[bond.GetEndAtomIdx()])
    return topology


class Isotope(app.Element):
    """An element of another mass, which OpenMM's table of elements does not hold."""

    def __init__(self, element: app.Element, mass: float):
        # not Element's own, which would enter it into the table that PDB files are read by
        self._atomic_number, self._name = element.atomic_number, element.name
        self._symbol, self._mass = element.symbol, mass * unit.dalton


def system_of(
    student: str | Path | Student, topology: app.Topology, **options: Any
) -> openmm.System:
    """A System of the topology's atoms with the student as its only force, beside bonds of no
    strength (see ``zero_bonds``).

    options: those of ``create_force``. ``system.force`` is the student's.
    """
    system = openmm.System()
    box = topology.getPeriodicBoxVectors()
    if box is not None:
        system.setDefaultPeriodicBoxVectors(*box)
    for atom in topology.atoms():
        system.addParticle(0.0 if atom.element is None else atom.element.mass)
    force = create_force(student, topology, system=system, **options)
    system.addForce(force)
    system.addForce(zero_bonds(topology, options.get("atoms")))
    system.force = force
    return system
