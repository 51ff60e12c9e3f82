"""Rigid fragments of molecules in crystals: the library that Open Babel builds coordinates from.

Yoshikawa, Hutchison, J. Cheminform. 11, 49 (2019): what is left of the Crystallography Open
Database when rotatable bonds are cut. Its dyes, cages, sulfur and nitrogen heterocycles hold kinds
of atoms that medicinal chemistry leaves out, and they are cheap to label. Only the list of SMILES
is used. Kept are those that could be drugs by what `distill.data.sets.drugs` keeps, of a charge
that an ion in water has.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from distill.data.molecules import Molecule
from distill.data.sets.chembl import chembl
from distill.data.sets.drugs import drugs, organic
from distill.data.sets.fragments import of_size
from distill.data.sets.small import small
from distill.errors import DistillError

HEAVY_ATOMS = range(3, 27)
MAX_CHARGE = 2


@lru_cache(maxsize=1)
def rigid() -> tuple[Molecule, ...]:
    """All of them, named by their SMILES. Raises DistillError when Open Babel is missing."""
    known = {molecule.smiles for molecule in (*drugs(), *chembl(), *small())}
    smiles = (of_size(entry, HEAVY_ATOMS) for entry in entries())
    found = organic((s, s) for s in smiles if s)
    return tuple(m for m in found if m.smiles not in known and abs(m.charge) <= MAX_CHARGE)


def entries() -> list[str]:
    """The SMILES in the library: the lines of one word; those of an atom have four."""
    package = find_spec("openbabel")
    folders = package.submodule_search_locations if package else None
    files = [f for folder in folders or () for f in Path(folder).rglob("rigid-fragments.txt")]
    if not files:
        raise DistillError(
            "The list of rigid fragments comes with Open Babel; "
            "`pip install 'mlff-distiller[crystals]'`."
        )
    lines = (line.split() for line in files[0].read_text().splitlines())
    return [words[0] for words in lines if len(words) == 1 and not words[0].startswith("#")]
