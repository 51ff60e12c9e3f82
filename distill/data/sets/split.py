"""Train, validation and test: molecules that share a scaffold are never in two of them.

A molecule's split is chosen by the hash of its Bemis-Murcko scaffold (J. Med. Chem. 39, 2887
(1996)): eight tenths for training, one for validation, one for test. An acyclic molecule is its own
scaffold.

Paracetamol and imatinib are the demonstration molecules, so shipped students never train on them:
both are in the test split, and so is all of imatinib's scaffold. Paracetamol's scaffold is benzene
alone, with too many molecules to set aside; only the molecule itself (in every tautomer and isotope
that has its InChIKey's first block) is moved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache

from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold

from distill.data.molecules import Molecule, quietly
from distill.errors import DistillError

SPLITS = ("train", "validation", "test")
PARACETAMOL = "CC(=O)Nc1ccc(O)cc1"
IMATINIB = "CN1CCN(CC1)Cc1ccc(cc1)C(=O)Nc1ccc(C)c(c1)Nc1nccc(n1)-c1cccnc1"


@lru_cache(maxsize=16384)
def split_of(smiles: str) -> str:
    """ "train", "validation" or "test". Of a complex, the last of these that a part belongs to."""
    parts = smiles.split(".")
    if len(parts) > 1:
        return max((split_of(part) for part in parts), key=SPLITS.index)
    mol = Chem.MolFromSmiles(smiles)
    if scaffold(mol) == _imatinib_scaffold() or _skeleton(mol) == _paracetamol_skeleton():
        return "test"
    tenth = hash_of(scaffold(mol)) % 10
    return {0: "test", 1: "validation"}.get(tenth, "train")


def scaffold(mol: Chem.Mol) -> str:
    """The Bemis-Murcko scaffold as SMILES; the molecule itself when it has no ring."""
    found = MurckoScaffold.MurckoScaffoldSmiles(mol=mol, includeChirality=False)
    return found or Chem.MolToSmiles(mol, isomericSmiles=False)


def chosen(kind: str, molecules: Iterable[Molecule], split: str) -> list[Molecule]:
    """Those of a split, in random order.

    The order comes from a hash, so that the first few are a random sample, the same on every
    machine. Raises DistillError for a split that is none.
    """
    if split not in SPLITS:
        names = ", ".join(f"{kind}:{name}" for name in SPLITS)
        raise DistillError(f"There is no {kind}:{split}; there are {names}.")
    found = [m for m in molecules if split_of(m.smiles or "") == split]
    return sorted(found, key=lambda molecule: hash_of(f"order {molecule.smiles}"))


def hash_of(text: str) -> int:
    """The same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


@lru_cache(maxsize=1)
def _imatinib_scaffold() -> str:
    return scaffold(Chem.MolFromSmiles(IMATINIB))


@lru_cache(maxsize=1)
def _paracetamol_skeleton() -> str:
    return _skeleton(Chem.MolFromSmiles(PARACETAMOL))


def _skeleton(mol: Chem.Mol) -> str:
    return str(quietly(Chem.MolToInchiKey, mol)).split("-")[0]
