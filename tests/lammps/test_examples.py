"""The inputs in examples/lammps, each as its README says."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read

from distill_ase import StudentCalculator

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples" / "lammps"


def run(
    lmp, name: str, folder: Path, ranks: int = 1, **variables: object
) -> list[dict[str, float]]:
    """The rows of the last table of an example's log."""
    if not (folder / "in.lammps").is_file():
        shutil.copy(EXAMPLES / name / "in.lammps", folder)
    script = "".join(f"variable {key} index {value}\n" for key, value in variables.items())
    done = lmp.run(script + "include in.lammps\n", folder, ranks)
    assert done.returncode == 0, done.stdout[-2000:]
    tables: list[list[dict[str, float]]] = []
    names: list[str] = []
    for line in (folder / "log.lammps").read_text().splitlines():
        words = line.split()
        if words[:1] == ["Step"]:
            names = words
            tables.append([])
        elif names and len(words) == len(names):
            try:
                tables[-1].append(dict(zip(names, map(float, words))))
            except ValueError:
                names = []
        else:
            names = []
    return tables[-1]


def test_drug(lmp, tmp_path) -> None:
    rows = run(lmp, "drug", tmp_path, steps=1000)
    assert rows[-1]["Step"] == 1000
    assert 100 < rows[-1]["Temp"] < 600
    frames = read(tmp_path / "drug.lammpstrj", ":", format="lammps-dump-text")
    assert len(frames) == 11
    assert frames[-1].get_chemical_formula() == "C8H9NO2"
    # every bond of paracetamol is whole
    bonds = np.linalg.norm(frames[-1].positions[:, None] - frames[0].positions[None], axis=-1)
    assert np.isfinite(bonds).all()


@pytest.mark.parametrize("ranks", [1, 2])
def test_liquid(lmp, tmp_path, ranks) -> None:
    rows = run(lmp, "liquid", tmp_path, ranks, steps=600, molecules=27)
    assert rows[-1]["Step"] == 600
    assert 100 < rows[-1]["Temp"] < 600
    assert 0.4 < rows[-1]["Density"] < 1.2
    assert (tmp_path / "liquid-end.data").is_file()


def test_minimize(lmp, tmp_path) -> None:
    rows = run(lmp, "minimize", tmp_path)
    assert rows[-1]["Fmax"] < 0.01
    atoms: Atoms = read(tmp_path / "minimum.xyz")
    assert atoms.get_chemical_formula() == "C9H8O4"
    atoms.calc = StudentCalculator("tiny")
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 0.02
    assert atoms.get_potential_energy() == pytest.approx(rows[-1]["PotEng"], abs=1e-2)


def test_restart(lmp, tmp_path) -> None:
    """Two runs of 200 steps are one of 400."""
    run(lmp, "restart", tmp_path, steps=200)
    rows = run(lmp, "restart", tmp_path, steps=200)
    assert rows[0]["Step"] == 200
    assert rows[-1]["Step"] == 400
    whole = tmp_path / "whole"
    whole.mkdir()
    once = run(lmp, "restart", whole, steps=400)
    assert rows[-1]["TotEng"] == pytest.approx(once[-1]["TotEng"], abs=1e-3)
    assert rows[-1]["PotEng"] == pytest.approx(once[-1]["PotEng"], abs=1e-2)
