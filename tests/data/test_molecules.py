"""Molecules from SMILES and files; what cannot be labelled is refused with a clear sentence."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as built
from ase.io import write as ase_write
from rdkit import Chem
from rdkit.Chem import AllChem

from distill.data.molecules import from_smiles, read_molecules
from distill.data.sampling import Sampling, sample
from distill.errors import DistillError

PARACETAMOL = "CC(=O)Nc1ccc(O)cc1"
ALANINE = "C[C@H]([NH3+])C(=O)[O-]"
ACETATE = "CC(=O)[O-]"


def embedded(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=7)
    return mol


def as_ase(mol: Chem.Mol) -> Atoms:
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    return Atoms(numbers, mol.GetConformer().GetPositions())


def test_smiles() -> None:
    (molecule,) = read_molecules(PARACETAMOL)
    assert Atoms(molecule.numbers).get_chemical_formula() == "C8H9NO2"
    assert (molecule.charge, molecule.spin, molecule.positions) == (0, 1, ())


def test_the_order_of_atoms_does_not_depend_on_how_the_smiles_is_written() -> None:
    a, b = from_smiles("OCC"), from_smiles("CCO")
    assert a.name == b.name
    assert a.numbers.tolist() == b.numbers.tolist()


@pytest.mark.parametrize(
    ("smiles", "charge", "spin"),
    [(ACETATE, -1, 1), ("C[N+](C)(C)C", 1, 1), (ALANINE, 0, 1), ("[CH3]", 0, 2)],
)
def test_charge_and_multiplicity_come_from_the_smiles(smiles: str, charge: int, spin: int) -> None:
    (molecule,) = read_molecules(smiles)
    assert (molecule.charge, molecule.spin) == (charge, spin)


def test_names_are_fit_for_groups() -> None:
    assert "/" not in from_smiles("F/C=C/F").name
    assert from_smiles("F/C=C/F").name != from_smiles("F/C=C\\F").name


def test_smi_file(tmp_path: Path) -> None:
    path = tmp_path / "set.smi"
    path.write_text(f"# a comment\n{PARACETAMOL} paracetamol\n\nCCO\nCCC paracetamol\nOCC\n")
    molecules = read_molecules(str(path))
    assert [m.name for m in molecules] == ["paracetamol", "CCO", "paracetamol-2"]


def test_sdf_with_coordinates(tmp_path: Path) -> None:
    mols = [embedded(PARACETAMOL), embedded(ALANINE)]
    mols[1].SetProp("_Name", "alanine")
    path = tmp_path / "set.sdf"
    with Chem.SDWriter(str(path)) as writer:
        for mol in mols:
            writer.write(mol)
    first, second = read_molecules(str(path))
    assert second.name == "alanine"
    for mol, molecule in zip(mols, (first, second), strict=True):
        assert molecule.positions[0] == pytest.approx(as_ase(mol).positions, abs=1e-3)
        assert molecule.numbers.tolist() == as_ase(mol).numbers.tolist()
    assert second.smiles == Chem.CanonSmiles(ALANINE)


def test_sdf_without_hydrogens_gets_them(tmp_path: Path) -> None:
    path = tmp_path / "flat.sdf"
    with Chem.SDWriter(str(path)) as writer:
        writer.write(Chem.MolFromSmiles(PARACETAMOL))
    (molecule,) = read_molecules(str(path))
    assert len(molecule) == 20 and molecule.positions == ()


@pytest.mark.parametrize("smiles", [PARACETAMOL, ALANINE, ACETATE, "CSc1ccc(Br)cc1"])
def test_xyz_gives_the_molecule_it_was_made_from(tmp_path: Path, smiles: str) -> None:
    atoms = as_ase(embedded(smiles))
    atoms.info["charge"] = Chem.GetFormalCharge(Chem.MolFromSmiles(smiles))
    ase_write(tmp_path / "mol.xyz", [atoms, atoms], format="extxyz")
    (molecule,) = read_molecules(str(tmp_path / "mol.xyz"))
    assert molecule.smiles == Chem.CanonSmiles(smiles)
    assert molecule.charge == atoms.info["charge"]
    assert len(molecule.positions) == 2
    assert molecule.positions[1] == pytest.approx(atoms.positions, abs=1e-6)


def test_plain_xyz(tmp_path: Path) -> None:
    path = tmp_path / "water.xyz"
    path.write_text("3\n\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n")
    (molecule,) = read_molecules(str(path))
    assert (molecule.name, molecule.smiles) == ("water", "O")


def test_pdb(tmp_path: Path) -> None:
    mol = embedded(PARACETAMOL)
    Chem.MolToPDBFile(mol, str(tmp_path / "drug.pdb"))
    (molecule,) = read_molecules(str(tmp_path / "drug.pdb"))
    assert molecule.smiles == Chem.CanonSmiles(PARACETAMOL)
    assert molecule.positions[0] == pytest.approx(as_ase(mol).positions, abs=1e-3)


def _file(tmp_path: Path, name: str, text: str) -> str:
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


BAD_SMILES = {
    "C1CC": "valid SMILES",
    "": "valid SMILES",
    "paracetamol": "valid SMILES",
    "CCO.Cl": "several fragments",
    "C[Si](C)(C)C": "elements no student knows: Si",
    "C*": "elements no student knows",
    "C" * 400 + "(": "valid SMILES",
    "drugs:tain": "drugs:train",
    "drugs:train:many": "drugs:train:800",
    "drugs:train:0": "1 or more",
}


@pytest.mark.parametrize("source", BAD_SMILES)
def test_bad_smiles_are_refused(source: str) -> None:
    with pytest.raises(DistillError, match=BAD_SMILES[source]):
        read_molecules(source)


WATER = "3\n{}\nO 0 0 0\nH {} 0 0\nH -0.24 0.93 0\n"
BAD_FILES = {
    "missing.sdf": (None, "no such file"),
    "empty.smi": ("", "is empty"),
    "blank.xyz": ("\n\n", "is empty"),
    "comments.smi": ("# nothing\n", "holds no molecule"),
    "line.smi": ("CCO\nC1CC\n", "line 2"),
    "odd.xyz": ("2\n\nO 0 0 0\nH 0.96 0 0\n", "9 electrons"),
    "charge.xyz": (WATER.format("charge=1", 0.96), "multiplicity"),
    "half.xyz": (WATER.format("charge=0.5", 0.96), "whole number"),
    "nan.xyz": (WATER.format("", "nan"), "not a number"),
    "near.xyz": (WATER.format("", 0.3), "overlap"),
    "iron.xyz": ("1\n\nFe 0 0 0\n", "Fe"),
    "cut.xyz": ("5\n\nO 0 0 0\n", "not a readable XYZ"),
    "words.xyz": ("this is\nno XYZ\n", "not a readable XYZ"),
    "words.sdf": ("this is\nno SDF\n", "cannot read molecule 1"),
    "words.pdb": ("this is\nno PDB\n", "not a readable PDB"),
    "table.csv": ("a,b\n", "unknown kind of file"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused(tmp_path: Path, name: str) -> None:
    text, words = BAD_FILES[name]
    path = str(tmp_path / name) if text is None else _file(tmp_path, name, text)
    with pytest.raises(DistillError, match=words):
        read_molecules(path)


def test_a_crystal_is_refused(tmp_path: Path) -> None:
    ase_write(tmp_path / "ice.xyz", built("H2O", cell=[5, 5, 5], pbc=True), format="extxyz")
    with pytest.raises(DistillError, match="periodic"):
        read_molecules(str(tmp_path / "ice.xyz"))


def test_a_protein_without_hydrogens_is_refused(tmp_path: Path) -> None:
    mol = Chem.MolFromSequence("AG")
    AllChem.EmbedMolecule(mol, randomSeed=7)
    Chem.MolToPDBFile(mol, str(tmp_path / "ag.pdb"))
    with pytest.raises(DistillError, match="hydrogen"):
        read_molecules(str(tmp_path / "ag.pdb"))


@pytest.mark.parametrize("comment", ["", "charge=-8", "spin=3"])
def test_strange_bonds_keep_their_geometry(tmp_path: Path, comment: str) -> None:
    """A broken O-H, charges that no valence explains: the geometry is still a geometry."""
    path = _file(tmp_path, "far.xyz", f"3\n{comment}\nO 0 0 0\nH 3.0 0 0\nH -0.24 0.93 0\n")
    (molecule,) = read_molecules(path)
    frames = sample(molecule, Sampling(frames=3))
    assert frames[0].source == "given"
    assert np.array_equal(frames[0].positions, molecule.positions[0])
    assert len(frames) == 4
    assert {frame.source for frame in frames[1:]} <= {"displaced", "uff-md"}


def test_a_folder_may_have_the_name_of_a_smiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`distill run CO -o CO` makes one, and goes on from it."""
    monkeypatch.chdir(tmp_path)
    for name in ("CO", "data"):
        (tmp_path / name).mkdir()
    assert len(read_molecules("CO")[0]) == 6
    with pytest.raises(DistillError, match="neither a file nor a valid SMILES"):
        read_molecules("data")
