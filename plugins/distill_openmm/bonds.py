"""Bonds of no strength: by them OpenMM knows what a molecule is.

A student knows no bonds, and OpenMM takes atoms without bonds for molecules: it wraps them into the
box one by one, which tears a molecule apart in a trajectory, and its barostats scale them so.
"""

import warnings
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import openmm
from openmm import app, unit

from distill.student.environments import bonded

MOST_BONDS = {1: 1, 6: 4, 7: 4, 8: 2, 9: 1, 15: 5, 16: 6, 17: 1, 35: 1, 53: 1}
"""Of an atom, for a first look at whether atoms may be one molecule."""


def zero_bonds(
    topology: app.Topology, atoms: Iterable[int] | None = None
) -> openmm.HarmonicBondForce:
    """A force of no strength along the bonds among the atoms (None: all), to be added to a System.

    Bonds are the topology's. The atoms of a residue that has none at all are taken for one
    molecule, if their valences allow it; in a periodic box a UserWarning names the residues where
    they do not (see :func:`add_bonds`). Energies, constraints and exceptions stay as they are.
    """
    chosen = {a.index for a in topology.atoms()} if atoms is None else set(atoms)
    pairs = [(b.atom1.index, b.atom2.index) for b in topology.bonds()]
    in_bonds = {i for pair in pairs for i in pair}
    pairs = [(i, j) for i, j in pairs if i in chosen and j in chosen]
    unknown = []
    for residue in topology.residues():
        members = [a for a in residue.atoms() if a.index in chosen]
        if len(members) < 2 or any(a.index in in_bonds for a in members):
            continue
        if may_be_one_molecule(members):
            pairs += [(members[0].index, other.index) for other in members[1:]]
        else:
            unknown.append(f"{residue.name} {residue.id}")
    if unknown and topology.getPeriodicBoxVectors() is not None:
        more = ", ..." if len(unknown) > 3 else ""
        warnings.warn(
            f"The topology has no bonds in {', '.join(unknown[:3])}{more}, whose atoms are more "
            "than one molecule: OpenMM will wrap each atom into the box, and its barostats scale "
            "them, one by one. Call distill_openmm.add_bonds(topology, positions) before.",
            stacklevel=3,
        )
    force = openmm.HarmonicBondForce()
    force.setName("Bonds of no strength")
    for i, j in pairs:
        force.addBond(i, j, 0.1, 0.0)
    return force


def may_be_one_molecule(atoms: list[Any]) -> bool:
    """Whether n atoms can have the n - 1 bonds that hold them together."""
    counts = Counter(0 if a.element is None else a.element.atomic_number for a in atoms)
    ends = sum(MOST_BONDS.get(z, 4) * count for z, count in counts.items())
    return ends >= 2 * (len(atoms) - 1)


def add_bonds(topology: app.Topology, positions: Any) -> None:
    """Adds to a topology without bonds those between atoms that are near enough, also across the
    borders of its box.

    positions: (N, 3), a Quantity or in nm. Bonds that the topology has already stay.
    """
    if isinstance(positions, unit.Quantity):
        positions = positions.value_in_unit(unit.nanometer)
    x = 10.0 * np.array([[*p] for p in positions], dtype=np.float64)
    atoms = [a for a in topology.atoms() if a.element is not None]
    box = topology.getPeriodicBoxVectors()
    cell = None if box is None else 10.0 * np.array(box.value_in_unit(unit.nanometer))
    numbers = np.array([a.element.atomic_number for a in atoms])
    there = {frozenset((b.atom1.index, b.atom2.index)) for b in topology.bonds()}
    indices = np.array([a.index for a in atoms])
    for i, j in zip(*bonded(numbers, x[indices], cell, cell is not None)):
        pair = frozenset((atoms[i].index, atoms[j].index))
        if i < j and pair not in there:
            there.add(pair)
            topology.addBond(atoms[i], atoms[j])
