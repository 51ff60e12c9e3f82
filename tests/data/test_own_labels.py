"""Labels of one's own as a dataset, and back."""

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from typer.testing import CliRunner

from distill.cli import app
from distill.data.dataset import Dataset
from distill.data.own_labels import write_own_labels
from distill.errors import DistillError
from distill.evaluate import read_frames
from distill.evaluate.label_keys import LabelKeys
from distill.student import load_student
from distill.teacher import load_teacher
from distill.train.sources import read_sources

DFT = "wB97M-V/def2-TZVPD, ORCA 6.1"


def labelled(start: Atoms, count: int, seed: int, **info: object) -> list[Atoms]:
    """Displaced geometries with GFN1-xTB's labels: not those of the shipped students."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        atoms = Atoms(start.numbers, start.positions + rng.normal(0, 0.04, start.positions.shape))
        atoms.info.update(info)
        frames.append(atoms)
    for atoms, label in zip(frames, load_teacher("gfn1-xtb").label(frames), strict=True):
        atoms.info["DFT_energy"] = label.energy
        atoms.arrays["DFT_forces"] = label.forces
    return frames


@pytest.fixture(scope="module")
def own() -> list[Atoms]:
    ion = molecule("CH3CH2NH2")
    ion = ion + Atoms("H", [ion.positions[ion.numbers == 7][0] + [0.0, -0.7, 0.9]])
    return [
        *labelled(molecule("CH3CH2OH"), 5, 0, temperature=300.0),
        *labelled(molecule("CH3OCH3"), 4, 1),  # the same formula
        *labelled(ion, 3, 2, charge=1, name="ethyl/ammonium"),
        *labelled(molecule("CH3"), 3, 3, spin=2),
    ]


@pytest.fixture
def mine(own: list[Atoms], tmp_path: Path) -> Path:
    ase.io.write(tmp_path / "mine.xyz", own, format="extxyz")
    return tmp_path / "mine.xyz"


def test_there_and_back(own: list[Atoms], mine: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.h5"
    arguments = ["label", "--from-file", str(mine), "-o", str(out), "--labelled-by", DFT]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "15 geometries of 4 molecules" in " ".join(result.output.split())
    with Dataset.open(out) as dataset:
        assert dataset.teacher.name == DFT and dataset.teacher.conservative
        assert dataset.molecules == ["C2H6O", "C2H6O-2", "CH3", "ethyl_ammonium"]
        found = {name: dataset[name] for name in dataset.molecules}
    assert [found[name].charge for name in found] == [0, 0, 0, 1]
    assert [found[name].spin for name in found] == [1, 1, 2, 1]
    np.testing.assert_allclose(found["C2H6O"].temperature, 300.0)
    # each frame by itself, with its own label
    frames = sorted(read_frames(out), key=lambda frame: frame.energy)
    assert len(frames) == len(own)
    for frame, atoms in zip(frames, sorted(own, key=lambda a: a.info["DFT_energy"]), strict=True):
        assert frame.energy == pytest.approx(atoms.info["DFT_energy"], abs=1e-9)
        np.testing.assert_array_equal(frame.numbers, atoms.numbers)
        np.testing.assert_allclose(frame.positions, atoms.positions, atol=1e-6)
        np.testing.assert_allclose(frame.forces, atoms.arrays["DFT_forces"], atol=1e-5)
        assert frame.charge == atoms.info.get("charge", 0)
        assert frame.spin == atoms.info.get("spin", 1)


def test_folders_and_keys_and_whose_labels_go_together(
    own: list[Atoms], mine: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    others = [atoms.copy() for atoms in own[:5]]
    for atoms in others:
        atoms.info["E"] = atoms.info.pop("DFT_energy")
        atoms.arrays["F"] = atoms.arrays.pop("DFT_forces")
    ase.io.write(folder / "a.xyz", others[:3], format="extxyz")
    ase.io.write(folder / "b.extxyz", others[3:], format="extxyz")
    first, second, third = (tmp_path / f"{k}.h5" for k in "123")
    done = write_own_labels([folder], first, DFT, LabelKeys("E", "F"))
    assert (done.molecules, done.geometries) == (1, 5)
    write_own_labels([mine], second, f" {DFT} ")
    write_own_labels([mine], third, "PBE, CP2K")
    with pytest.raises(DistillError, match="two different molecules named"):
        read_sources([first, write_renamed(second, tmp_path)])
    assert read_sources([second]).teacher.name == DFT
    with pytest.raises(DistillError, match="two teachers"):
        read_sources([first, third])
    with pytest.raises(DistillError, match="is there already"):
        write_own_labels([mine], third, DFT)


def write_renamed(path: Path, folder: Path) -> Path:
    """Another molecule under the name of the first's."""
    other = folder / "other.xyz"
    frames = labelled(molecule("H2O"), 3, 5, name="C2H6O")
    ase.io.write(other, frames, format="extxyz")
    write_own_labels([other], folder / "other.h5", DFT)
    return folder / "other.h5"


def test_what_a_dataset_cannot_hold(mine: Path, tmp_path: Path) -> None:
    frames = ase.io.read(mine, index=":5")
    for atoms in frames:
        atoms.set_cell([20, 20, 20])
        atoms.pbc = True
    ase.io.write(tmp_path / "box.xyz", frames, format="extxyz")
    with pytest.raises(DistillError, match="periodic frames"):
        write_own_labels([tmp_path / "box.xyz"], tmp_path / "box.h5", DFT)
    frames = ase.io.read(mine, index=":5")
    for atoms in frames:
        atoms.arrays["DFT_forces"] *= 23.06
    ase.io.write(tmp_path / "kcal.xyz", frames, format="extxyz")
    with pytest.raises(DistillError, match="kcal/mol"):
        write_own_labels([tmp_path / "kcal.xyz"], tmp_path / "kcal.h5", DFT)
    with pytest.raises(DistillError, match="not said who labelled"):
        write_own_labels([mine], tmp_path / "nobody.h5", " ")
    assert not list(tmp_path.glob("*.h5"))


def test_a_folder_is_evaluated_as_its_files(mine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "both"
    folder.mkdir()
    frames = ase.io.read(mine, index=":")
    ase.io.write(folder / "a.xyz", frames[:7], format="extxyz")
    ase.io.write(folder / "b.xyz", frames[7:], format="extxyz")
    one, both = read_frames(mine), read_frames(folder)
    assert [f.energy for f in both] == [f.energy for f in one]
    assert [f.name for f in both] == [f.name for f in one]  # told apart over all files
    write_own_labels([mine], folder / "c.h5", DFT)
    with pytest.raises(DistillError, match="give the files of one teacher"):
        read_frames(folder)


@pytest.mark.slow
def test_the_card_says_who_labelled(mine: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "mine.h5", tmp_path / "student"
    write_own_labels([mine], data, DFT)
    run = CliRunner().invoke(
        app, ["train", str(data), "-o", str(out), "--size", "ultra-tiny", "--steps", "3"]
    )
    assert run.exit_code == 0, run.output
    student = load_student(str(out / "student.safetensors"))
    assert student.card["teacher"]["name"] == DFT
    shown = CliRunner().invoke(app, ["info", str(out / "student.safetensors"), "--json"]).stdout
    assert f"How good {DFT} itself is was not measured" in json.loads(shown)["agreement"]
