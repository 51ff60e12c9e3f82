"""Which atoms of a System may be a student's, and through which bonds one may cut."""

import warnings
from collections import Counter
from collections.abc import Iterable
from typing import Any

import openmm
from openmm import app, unit

from distill.charge import nearly_whole
from distill.engine_arguments import check_indices
from distill.errors import DistillError
from distill_openmm.selection import check_atoms

SATURATED = {1: 1, 6: 4, 7: 3, 8: 2, 9: 1, 15: 3, 16: 2, 17: 1, 35: 1, 53: 1}
"""Neighbours of an atom without double bonds, at least."""
LARGEST_RING = 12
"""Bonds. Larger rings, such as a protein has by its disulfides, may be cut."""

Bonds = dict[int, set[int]]


def check_region(
    topology: app.Topology, system: openmm.System, atoms: Iterable[Any], waters: bool
) -> list[int]:
    """The student's atoms, once they have been looked at: DistillError for such as are none."""
    chosen = check_indices("atoms", atoms)
    everyone = list(topology.atoms())
    if len(everyone) != system.getNumParticles():
        raise DistillError(
            f"The topology has {len(everyone)} atoms and the System {system.getNumParticles()} "
            "particles; give the topology that the System was made from."
        )
    check_atoms(chosen, len(everyone))
    whole = len(chosen) == len(everyone)  # nothing is left to the force field
    for i in chosen:
        atom, residue = everyone[i], everyone[i].residue
        if system.isVirtualSite(i) or atom.element is None:
            raise DistillError(
                f"Atom {i} ({atom.name} of {residue.name} {residue.id}) is a virtual site and no "
                "atom; leave it out of atoms."
            )
        if residue_size(residue) == 1 and not whole:
            raise DistillError(
                f"Atom {i} ({residue.name} {residue.id}) is by itself, an ion perhaps, which is "
                "the force field's; leave it out of atoms."
            )
        if is_water(residue) and not waters and not whole:
            raise DistillError(
                f"Atom {i} belongs to a water ({residue.name} {residue.id}), which is the force "
                "field's; leave it out of atoms, or give waters=True if the student shall have it."
            )
    return chosen


def residue_size(residue: Any) -> int:
    """How many atoms it has."""
    return sum(1 for _ in residue.atoms())


def is_water(residue: Any) -> bool:
    """Whether its atoms are one oxygen and two hydrogens, and perhaps virtual sites."""
    numbers = [a.element.atomic_number for a in residue.atoms() if a.element is not None]
    return sorted(numbers) == [1, 1, 8]


def neighbours(topology: app.Topology) -> Bonds:
    """Of each atom, the indices of those that it is bonded to."""
    found: Bonds = {atom.index: set() for atom in topology.atoms()}
    for first, second in topology.bonds():
        found[first.index].add(second.index)
        found[second.index].add(first.index)
    return found


def check_bonds(system: openmm.System, bonds: Bonds, atoms: Iterable[int]) -> None:
    """DistillError where the force field knows a bond of the atoms that the topology does not.

    Without it a cut would not be seen, and OpenMM-ML would not know which terms to take out.
    """
    chosen = set(atoms)
    pairs = constrained(system) | bonded_by_terms(system)
    for i, j in sorted(pairs):
        if i not in chosen and j not in chosen:
            continue
        # what is two bonds apart is an angle's: Urey-Bradley, or a rigid water's hydrogens
        if j not in bonds[i] and not bonds[i] & bonds[j]:
            raise DistillError(
                f"The System has a bond of atoms {i} and {j}, but the topology has none; call "
                "distill_openmm.add_bonds(topology, positions) before."
            )


def constrained(system: openmm.System) -> set[tuple[int, int]]:
    """Pairs of atoms (the smaller index first) at a constrained distance."""
    pairs = [system.getConstraintParameters(k)[:2] for k in range(system.getNumConstraints())]
    return {(min(pair), max(pair)) for pair in pairs}


def bonded_by_terms(system: openmm.System) -> set[tuple[int, int]]:
    """Pairs of atoms (the smaller index first) with a harmonic bond of some strength."""
    found = set()
    for force in system.getForces():
        if isinstance(force, openmm.HarmonicBondForce):
            for k in range(force.getNumBonds()):
                i, j, _, strength = force.getBondParameters(k)
                if strength._value:
                    found.add((min(i, j), max(i, j)))
    return found


def check_cuts(topology: app.Topology, bonds: Bonds, atoms: Iterable[int]) -> list[tuple[int, int]]:
    """The bonds (student's atom, other atom) that are cut, which get a link atom each.

    DistillError for one to hydrogen, of a ring, or that is or may be a double bond, and for two to
    the same atom. A UserWarning for what is no bond between two carbons, or conjugated: with a
    hydrogen in its place the student sees something else.
    """
    chosen = set(atoms)
    cuts = [(i, j) for i in sorted(chosen) for j in sorted(bonds[i] - chosen)]
    if not cuts:
        return cuts
    everyone = list(topology.atoms())
    orders = {frozenset((b[0].index, b[1].index)): order_of(b) for b in topology.bonds()}
    poor = []
    for i, j in cuts:
        order = orders[frozenset((i, j))]
        numbers = [everyone[k].element and everyone[k].element.atomic_number for k in (i, j)]
        conjugated = all(len(bonds[k]) < SATURATED.get(z, 0) for k, z in zip((i, j), numbers))
        why = None
        if None in numbers or 1 in numbers:
            why = "is one to hydrogen"
        elif in_ring(bonds, i, j):
            why = "is in a ring"
        elif order is not None and order != 1:
            why = "is no single bond"
        elif order is None and conjugated:
            why = "is a double bond or conjugated"
        if why:
            raise DistillError(
                f"The student's atoms end at the bond of {label(everyone[i])} and "
                f"{label(everyone[j])}, which {why}; cut through a single bond between two "
                "carbons, or take the whole molecule."
            )
        if numbers != [6, 6] or conjugated:
            poor.append(f"{label(everyone[i])} and {label(everyone[j])}")
    ends = Counter(j for _, j in cuts)
    shared = [j for j, count in ends.items() if count > 1]
    if shared:
        raise DistillError(
            f"Two of the student's atoms are bonded to {label(everyone[shared[0]])}, where there "
            "is no room for two link atoms; give the student that atom, too."
        )
    if poor:
        warnings.warn(
            f"The student's atoms end at a bond that is not between two carbons, or conjugated "
            f"({poor[0]}): a hydrogen takes the other atom's place there, which changes the "
            "student's part. A single bond of a saturated carbon is a better place.",
            stacklevel=3,
        )
    return cuts


def label(atom: Any) -> str:
    """For a sentence: index, name and residue."""
    return f"{atom.index} ({atom.name} of {atom.residue.name} {atom.residue.id})"


def order_of(bond: Any) -> float | None:
    """Order of a topology's bond, None where it is not known; aromatic and amide are none of 1."""
    if bond.type in (app.topology.Aromatic, app.topology.Amide):
        return 1.5
    return float(bond.order) if bond.order else None


def in_ring(bonds: Bonds, first: int, second: int) -> bool:
    """Whether atoms that are bonded to each other are connected otherwise as well."""
    seen, front = {first}, bonds[first] - {second}
    for _ in range(LARGEST_RING - 1):
        if second in front:
            return True
        seen |= front
        front = {k for i in front for k in bonds[i]} - seen
    return False


def classical_charge(system: openmm.System, atoms: Iterable[int]) -> int | None:
    """Sum of the force field's charges of some atoms in e, None where that is no whole number."""
    chosen = list(atoms)
    return nearly_whole(
        sum(
            force.getParticleParameters(i)[0].value_in_unit(unit.elementary_charge)
            for force in system.getForces()
            if isinstance(force, openmm.NonbondedForce)
            for i in chosen
        )
    )
