"""Clusters of two to twenty waters, alone and around hydronium, hydroxide and other small ions."""

from __future__ import annotations

from functools import lru_cache

from distill.data.molecules import Molecule
from distill.data.sets.clusters import cluster
from distill.data.sets.dimers import embedded

SIZES = range(2, 21)
AROUND = {"ammonium": "[NH4+]", "acetate": "CC(=O)[O-]", "methylammonium": "C[NH3+]"}
SMALL_IONS = {
    "hydronium": "[OH3+]", "hydroxide": "[OH-]", "chloride": "[Cl-]", "fluoride": "[F-]",
    "bromide": "[Br-]",
}  # fmt: skip
SIZES_AROUND = range(1, 11)
EACH = 2
"""Molecules of each size that differ in their geometries only: each packs anew."""


@lru_cache(maxsize=1)
def water() -> tuple[Molecule, ...]:
    """Water alone and around organic ions, named like "5 waters (1)"."""
    mol = embedded("water", "O")
    found = [cluster(f"{size} waters ({k})", [mol] * size) for size in SIZES for k in range(EACH)]
    return (*found, *_around(AROUND))


@lru_cache(maxsize=1)
def ions_in_water() -> tuple[Molecule, ...]:
    """Water around SMALL_IONS, named like "chloride in 5 waters (1)"."""
    return _around(SMALL_IONS)


def _around(ions: dict[str, str]) -> tuple[Molecule, ...]:
    mol = embedded("water", "O")
    mols = {name: embedded(name, smiles) for name, smiles in ions.items()}
    return tuple(
        cluster(f"{name} in {size} waters ({k})", [ion] + [mol] * size)
        for name, ion in mols.items()
        for size in SIZES_AROUND
        for k in range(EACH)
    )
