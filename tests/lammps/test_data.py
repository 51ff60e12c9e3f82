"""Data files of molecules and liquids, by ``python -m distill_lammps data``."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read, write
from ase.io.lammpsdata import read_lammps_data
from ase.neighborlist import neighbor_list
from rdkit import Chem
from rdkit.Chem import AllChem
from typer.testing import CliRunner

from distill.data.molecules import read_one
from distill.errors import DistillError
from distill_lammps.__main__ import app
from distill_lammps.data import ORDER


def written(*arguments: object) -> Atoms:
    result = CliRunner().invoke(app, ["data", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return read_lammps_data(arguments[arguments.index("-o") + 1], atom_style="atomic")


def test_order() -> None:
    assert ORDER == "H C N O F P S Cl Br I"


def test_molecule(tmp_path) -> None:
    atoms = written("CCO", "-o", tmp_path / "x.data", "--box", 30)
    assert atoms.get_chemical_formula() == "C2H6O"
    np.testing.assert_allclose(atoms.cell.lengths(), 30)
    np.testing.assert_allclose(atoms.get_center_of_mass(), 15, atol=1)
    (tmp_path / "x.smi").write_text("OCC ethanol\n")
    again = written(tmp_path / "x.smi", "-o", tmp_path / "y.data")
    assert again.get_chemical_formula() == "C2H6O"


def test_liquid(tmp_path) -> None:
    atoms = written("O", "-o", tmp_path / "x.data", "--molecules", 64, "--density", 0.9)
    assert atoms.get_chemical_formula() == "H128O64"
    density = atoms.get_masses().sum() / atoms.get_volume() / 0.602214
    assert density == pytest.approx(0.9, rel=1e-3)
    i, j, distances = neighbor_list("ijd", atoms, 1.5)
    assert len(i) == 2 * 2 * 64  # bonds, and no overlap
    assert distances.min() > 0.9


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    """Ethanol as bent and stretched as no force field would have it, in several kinds of file."""
    mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    AllChem.EmbedMolecule(mol, 1)
    shape = mol.GetConformer().GetPositions() * 1.02
    mol.GetConformer().SetPositions(shape)
    found = {kind: tmp_path / f"ethanol.{kind}" for kind in ("sdf", "xyz", "pdb")}
    Chem.MolToMolFile(mol, str(found["sdf"]))
    Chem.MolToPDBFile(mol, str(found["pdb"]))
    write(found["xyz"], Atoms([a.GetSymbol() for a in mol.GetAtoms()], shape))
    return found


@pytest.mark.parametrize("kind", ["sdf", "xyz", "pdb"])
def test_coordinates_are_kept(tmp_path, files, kind) -> None:
    atoms = written(files[kind], "-o", tmp_path / "x.data")
    given = read(files["xyz"])
    np.testing.assert_array_equal(atoms.numbers, given.numbers)
    np.testing.assert_allclose(atoms.get_all_distances(), given.get_all_distances(), atol=2e-3)
    box = written(files[kind], "-o", tmp_path / "y.data", "--molecules", 27)
    assert len(box) == 27 * 9
    first = box[:9].get_all_distances(mic=True)
    np.testing.assert_allclose(first, given.get_all_distances(), atol=2e-3)


def test_isotopes(tmp_path) -> None:
    """Types of their own, with their masses; what is printed has their elements."""
    file = tmp_path / "x.data"
    result = CliRunner().invoke(app, ["data", "[2H]C([2H])O", "-o", str(file)])
    assert f"pair_coeff * * FILE {ORDER} H " in result.output
    masses = sorted(read_lammps_data(file, atom_style="atomic").get_masses())
    np.testing.assert_allclose(masses[:4], [1.008, 1.008, 2.0141, 2.0141], atol=1e-3)


def test_several_geometries(tmp_path, files) -> None:
    frames = [read(files["xyz"]), read(files["xyz"])]
    frames[1].rattle(0.01)
    write(tmp_path / "two.xyz", frames)
    result = CliRunner().invoke(app, ["data", str(tmp_path / "two.xyz"), "-o", str(tmp_path / "x")])
    assert "has 2 geometries; the first is taken" in result.output


def test_several_molecules(tmp_path) -> None:
    (tmp_path / "two.smi").write_text("CCO\nCO\n")
    with pytest.raises(DistillError, match="holds 2 molecules"):
        read_one(str(tmp_path / "two.smi"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["CCO", "--molecules", "0"], "--molecules is 0"),
        (["CCO", "--molecules", "8", "--density", "-1"], "--density is -1"),
        (["CCO", "--molecules", "27", "--density", "5"], "no room at 5 g/cm3; give a lower"),
        (["CCCCCCCCCCCC", "--box", "12"], "does not fit into 12 Å; give a larger --box"),
        (["nothing.smi"], "nothing.smi: no such file"),
        (["C(("], "C\\(\\("),
    ],
)
def test_bad(tmp_path, arguments, sentence) -> None:
    result = CliRunner().invoke(app, ["data", *arguments, "-o", str(tmp_path / "x.data")])
    assert result.exit_code != 0
    with pytest.raises(Exception, match=sentence):
        raise result.exception
    assert not (tmp_path / "x.data").exists()
