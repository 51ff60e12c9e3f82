"""Tripos' .mol2 files of several programs, against what RDKit knows of the same molecules."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from distill.data.mol2 import element
from distill.data.molecules import quietly, read_molecules
from distill.errors import DistillError


def in_openmmtools(name: str) -> str:
    """Its data, without the package's own dependencies."""
    spec = importlib.util.find_spec("openmmtools")
    assert spec is not None and spec.submodule_search_locations
    return str(Path(spec.submodule_search_locations[0]) / "data" / name)


def written(mol: Chem.Mol, charges: bool = True) -> str:
    """A .mol2 whose bonds all are single, as some programs write them."""
    rows = []
    for atom, (x, y, z) in zip(mol.GetAtoms(), mol.GetConformer().GetPositions()):
        name, number = atom.GetSymbol(), atom.GetIdx() + 1
        charge = f" {atom.GetFormalCharge():.4f}" if charges else ""
        kind = "C.3" if name == "C" and atom.GetDegree() == 4 else name
        rows.append(f"{number} {name}{number} {x:.4f} {y:.4f} {z:.4f} {kind} 1 LIG{charge}")
    bonds = [
        f"{k} {b.GetBeginAtomIdx() + 1} {b.GetEndAtomIdx() + 1} 1"
        for k, b in enumerate(mol.GetBonds(), start=1)
    ]
    kind = "USER_CHARGES" if charges else "NO_CHARGES"
    head = f"@<TRIPOS>MOLECULE\nmine\n{len(rows)} {len(bonds)}\nSMALL\n{kind}\n"
    return "\n".join([head, "@<TRIPOS>ATOM", *rows, "@<TRIPOS>BOND", *bonds]) + "\n"


def in_space(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=1) == 0
    return mol


@pytest.mark.parametrize(
    "smiles",
    [
        "CC(=O)Nc1ccc(O)cc1", "CC(=O)[O-]", "C[NH3+]", "CNC(N)=[NH2+]", "O=[N+]([O-])c1ccccc1",
        "C[n+]1ccccc1", "CP(=O)([O-])[O-]", "CS(=O)(=O)[O-]", "[NH3+][C@@H](C)C(=O)[O-]",
        "C/C=C/Cl", "c1ccc2[nH]ccc2c1",
    ],
)  # fmt: skip
def test_orders_and_charges_are_found(smiles: str, tmp_path: Path) -> None:
    mol = in_space(smiles)
    (tmp_path / "x.mol2").write_text(written(mol))
    (found,) = read_molecules(str(tmp_path / "x.mol2"))
    assert found.name == "mine" and found.smiles == Chem.CanonSmiles(smiles)
    assert found.charge == Chem.GetFormalCharge(mol) and found.spin == 1
    np.testing.assert_allclose(found.positions[0], mol.GetConformer().GetPositions(), atol=1e-4)


@pytest.mark.parametrize(
    "one, other",
    [
        ("cb7-viologen/leap/viologen.gaff.mol2", "cb7-viologen/leap/viologen.tripos.mol2"),
        ("cb7-b2/b2_am1-bcc.mol2", "cb7-b2/b2_tripos.mol2"),
        (
            "T4-lysozyme-L99A-implicit/ligand.mol2",
            "T4-lysozyme-L99A-implicit/ligand.tripos.mol2",
        ),
    ],
)
def test_files_of_other_programs(one: str, other: str) -> None:
    """With GAFF's and with Sybyl's types; RDKit reads the latter."""
    by_rdkit = quietly(Chem.MolFromMol2File, in_openmmtools(other), removeHs=False)
    for name in (one, other):
        (found,) = read_molecules(in_openmmtools(name))
        assert found.smiles == Chem.MolToSmiles(Chem.RemoveHs(by_rdkit))
        assert found.charge == Chem.GetFormalCharge(by_rdkit)


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    file = tmp_path / "x.mol2"
    acetate = written(in_space("CC(=O)[O-]"), charges=False)
    bare = written(Chem.RemoveHs(in_space("CCO")))
    for text, told in (
        (acetate, r"molecule 1.* (charge|multiplicity)"),
        (written(in_space("CO")).replace("LIG 0.0000", "LIG 0.1000"), "no whole number"),
        (bare.replace(" C 1", " C.3 1"), r"hydrogens are missing at its atom 1 \(C.3\)"),
        (bare.replace(" C 1", " Du 1"), "cannot be read as a .mol2"),
        ("nonsense", "holds no molecule"),
    ):
        file.write_text(text)
        with pytest.raises(DistillError, match=told):
            read_molecules(str(file))
    file.write_text(acetate)
    assert read_molecules(str(file), charge=-1)[0].smiles == "CC(=O)[O-]"
    with pytest.raises(DistillError, match="has charge 0 by its bonds, not 1"):
        file.write_text(written(in_space("CO")).replace("LIG 0.0000", "LIG 0.0001"))
        read_molecules(str(file), charge=1)


@pytest.mark.parametrize(
    "kind, number",
    [("C.ar", 6), ("c3", 6), ("Cl", 17), ("cl", 17), ("na", 7), ("Na", 11), ("Si", 14), ("CA", 6),
     ("hn", 1), ("br", 35), ("O.co2", 8)],
)  # fmt: skip
def test_elements_of_types(kind: str, number: int) -> None:
    assert element(kind) == number
