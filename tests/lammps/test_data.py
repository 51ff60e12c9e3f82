"""Data files of molecules and liquids, by ``python -m distill_lammps data``."""

import numpy as np
import pytest
from ase import Atoms
from ase.io.lammpsdata import read_lammps_data
from ase.neighborlist import neighbor_list
from typer.testing import CliRunner

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


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["CCO", "--molecules", "0"], "--molecules is 0"),
        (["CCO", "--molecules", "8", "--density", "-1"], "--density is -1"),
        (["CCO", "--molecules", "27", "--density", "5"], "no room at 5 g/cm3; give a lower"),
        (["CCCCCCCCCCCC", "--box", "12"], "does not fit into 12 Å; give a larger --box"),
        (["nothing.smi"], "There is no file nothing.smi"),
        (["C(("], "C\\(\\("),
    ],
)
def test_bad(tmp_path, arguments, sentence) -> None:
    result = CliRunner().invoke(app, ["data", *arguments, "-o", str(tmp_path / "x.data")])
    assert result.exit_code != 0
    with pytest.raises(Exception, match=sentence):
        raise result.exception
    assert not (tmp_path / "x.data").exists()
