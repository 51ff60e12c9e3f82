"""Rigid fragments of crystals with one to three changes, as ``mutated`` makes them of the drugs'.

A student is most wrong where a molecule has a kind of atom that it has hardly seen: of a list of
known kinds, this makes more. An exotic molecule has the split of its own scaffold, and a parent of
that split.
"""

from __future__ import annotations

from functools import lru_cache

from distill.data.molecules import Molecule
from distill.data.sets.mutated import mutants_of
from distill.data.sets.rigid import HEAVY_ATOMS, MAX_CHARGE, rigid

EACH = 3
"""Draws for a parent."""


@lru_cache(maxsize=1)
def exotic() -> tuple[Molecule, ...]:
    """All of them, named by their SMILES. Raises DistillError without datamol or Open Babel."""
    found = mutants_of([m.smiles or "" for m in rigid()], EACH, HEAVY_ATOMS, key="exotic ")
    return tuple(molecule for molecule in found if abs(molecule.charge) <= MAX_CHARGE)
