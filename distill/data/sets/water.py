"""Clusters of two to twenty waters, alone and around hydronium, hydroxide and other small ions."""

from __future__ import annotations

from functools import lru_cache

from distill.data.molecules import Molecule
from distill.data.sets.clusters import cluster
from distill.data.sets.dimers import embedded

SIZES = range(2, 21)
AROUND = {
    "hydronium": "[OH3+]", "hydroxide": "[OH-]", "ammonium": "[NH4+]", "chloride": "[Cl-]",
    "fluoride": "[F-]", "bromide": "[Br-]", "acetate": "CC(=O)[O-]",
    "methylammonium": "C[NH3+]",
}  # fmt: skip
SIZES_AROUND = range(1, 11)
EACH = 2
"""Molecules of each size that differ in their geometries only: each packs anew."""


@lru_cache(maxsize=1)
def water() -> tuple[Molecule, ...]:
    """All of them, named like "5 waters (1)"."""
    mol = embedded("water", "O")
    found = [cluster(f"{size} waters ({k})", [mol] * size) for size in SIZES for k in range(EACH)]
    for name, smiles in AROUND.items():
        ion = embedded(name, smiles)
        found += [
            cluster(f"{name} in {size} waters ({k})", [ion] + [mol] * size)
            for size in SIZES_AROUND
            for k in range(EACH)
        ]
    return tuple(found)
