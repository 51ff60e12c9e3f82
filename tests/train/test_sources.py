"""What is trained on: files, folders, whose labels, in which units."""

import shutil
from dataclasses import replace
from pathlib import Path

import ase.io
import h5py
import numpy as np
import pytest
from ase import Atoms, units

from distill.data.dataset import Dataset, MoleculeData, TeacherRecord, write, write_part
from distill.errors import DistillError
from distill.evaluate import LabelledFrame, predict, read_frames
from distill.evaluate.label_keys import LabelKeys
from distill.student import load_student
from distill.train.hold_out import hold_out
from distill.train.sources import OWN, files_of, read_sources

XTB = TeacherRecord("gfn2-xtb", "tblite", True)
OTHER = TeacherRecord("gfn1-xtb", "tblite", True)


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def extxyz(path: Path, data: MoleculeData, factor: float = 1.0, **info: object) -> Path:
    images = []
    for x, e, f in zip(data.positions, data.energy, data.forces):
        atoms = Atoms(data.numbers, x, info={**info, "REF_energy": factor * float(e)})
        atoms.arrays["REF_forces"] = factor * f
        images.append(atoms)
    ase.io.write(path, images, format="extxyz")
    return path


def spice(path: Path, data: MoleculeData) -> Path:
    with h5py.File(path, "w") as file:
        group = file.create_group("methanol")
        group["atomic_numbers"] = data.numbers.astype(np.int16)
        group["smiles"] = np.array(["[C:1][O-:2]"], dtype=h5py.string_dtype())
        for key, unit, values in (
            ("conformations", "bohr", data.positions / units.Bohr),
            ("dft_total_energy", "hartree", data.energy / units.Hartree),
            ("dft_total_gradient", "hartree/bohr", -data.forces / units.Hartree * units.Bohr),
        ):
            group[key] = values
            group[key].attrs["units"] = unit
    return path


def test_a_folder_is_its_files(dataset: Path, methanol: MoleculeData, tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    shutil.copy(dataset, folder / "a.h5")
    write(folder / "b.h5", OTHER, [methanol])
    with pytest.raises(DistillError, match=r"a\.h5 was labelled by gfn2.*b\.h5 by gfn1.*two teach"):
        read_sources([folder])
    write(tmp_path / "c.h5", replace(XTB, settings='{"accuracy": 0.1}'), [methanol])
    shutil.move(tmp_path / "c.h5", folder / "b.h5")
    with pytest.raises(DistillError, match="accuracy.*two teachers"):
        read_sources([folder])
    (folder / "b.h5").unlink()
    (folder / "notes.txt").write_text("mine")
    assert len(read_sources([folder]).frames) == 40
    for name in ("test.h5", "a-test.h5", "drugs_valid.h5", "held-out.h5", "Validation.xyz"):
        (folder / name).write_bytes(b"")
        with pytest.raises(DistillError, match=rf"{name}, which is there to judge by.*a\.h5"):
            files_of([folder])
        # named, it is meant
        assert names(files_of([folder], folder / name)) == ["a.h5"]
        (folder / name).unlink()
    (folder / "latest.h5").write_bytes(b"")
    assert names(files_of([folder])) == ["a.h5", "latest.h5"]


def test_the_folder_of_a_run_is_what_it_trained_on(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    for name in ("run.json", "test.h5", "work/labels-0.h5", "work/labels-0-001.h5", "work/x.h5"):
        shutil.copy(dataset, tmp_path / name)
    assert names(files_of([tmp_path])) == ["labels-0-001.h5", "labels-0.h5"]
    shutil.copy(dataset, tmp_path / "dataset.h5")
    assert names(files_of([tmp_path])) == ["dataset.h5"]


def test_the_parts_of_labelling_under_way(methanol: MoleculeData, tmp_path: Path) -> None:
    parts = tmp_path / "set.h5.parts"
    parts.mkdir()
    write_part(parts / "a.h5", XTB, methanol)
    assert len(read_sources([parts]).frames) == len(read_frames(parts)) == 40
    write_part(parts / "b.h5", OTHER, methanol)
    for read in (Dataset.open, read_frames, lambda path: read_sources([path])):
        with pytest.raises(DistillError, match=r"a\.h5 was .*b\.h5 by gfn1-xtb"):
            read(parts)


def test_no_file_counts_twice(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="twice"):
        files_of([dataset, dataset.parent])
    with pytest.raises(DistillError, match="both trained on and judged by"):
        files_of([dataset], dataset)
    with pytest.raises(DistillError, match="nothing to train on"):
        files_of([dataset.parent], dataset)
    with pytest.raises(DistillError, match="holds no file with labels"):
        files_of([tmp_path])
    assert len(read_frames(dataset.parent)) == len(read_frames(dataset))
    (dataset.parent / "run.json").write_text("{}")
    with pytest.raises(DistillError, match=r"is a folder; give a file in it: methanol\.h5"):
        read_frames(dataset.parent)


def test_labels_of_ones_own(methanol: MoleculeData, tmp_path: Path) -> None:
    path = extxyz(tmp_path / "mine.xyz", methanol)
    labels = read_sources([path])
    assert labels.teacher.name == OWN and '"REF_energy"' in labels.teacher.settings
    assert {f.name for f in labels.frames} == {"CH4O"}
    np.testing.assert_allclose(labels.frames[7].forces, methanol.forces[7], atol=1e-6)
    # one molecule: geometries are held out; a second: molecules
    assert "geometries" in hold_out(labels.frames, 0).how
    anion = replace(methanol, positions=methanol.positions[:, :5], numbers=methanol.numbers[:5],
                    forces=methanol.forces[:, :5])  # fmt: skip
    other = extxyz(tmp_path / "other.extxyz", anion, charge=-1)
    labels = read_sources([path], other)
    assert labels.valid is not None and {f.charge for f in labels.valid} == {-1}
    assert len({f.molecule for f in read_sources([path, other]).frames}) == 2
    with pytest.raises(DistillError, match="two teachers"):
        write(tmp_path / "ours.h5", XTB, [methanol])
        read_sources([path, tmp_path / "ours.h5"])
    with pytest.raises(DistillError, match=r"no 'E' \(--energy-key\)"):
        read_sources([path], keys=LabelKeys("E", "REF_forces"))
    with pytest.raises(DistillError, match="whole number"):
        read_sources([extxyz(tmp_path / "odd.xyz", methanol, charge=0.5)])


def test_the_unit_is_looked_at(methanol: MoleculeData, tmp_path: Path) -> None:
    kcal = extxyz(tmp_path / "kcal.xyz", methanol, factor=23.0605)
    with pytest.raises(DistillError, match=r"kcal\.xyz: .*look like kcal/mol/Å.*Convert"):
        read_sources([kcal])
    bohr = replace(methanol, positions=methanol.positions / 0.529177)
    with pytest.raises(DistillError, match=r"bohr\.xyz .*positions must be in Å"):
        read_sources([extxyz(tmp_path / "bohr.xyz", bohr)])


def test_spice(methanol: MoleculeData, tmp_path: Path) -> None:
    path = spice(tmp_path / "spice.hdf5", methanol)
    labels = read_sources([path])
    assert labels.teacher.name == OWN and len(labels.frames) == 40
    frame = labels.frames[3]
    assert (frame.name, frame.charge) == ("methanol", -1)
    np.testing.assert_allclose(frame.positions, methanol.positions[3], atol=1e-5)
    np.testing.assert_allclose(frame.energy, methanol.energy[3], atol=1e-6)
    np.testing.assert_allclose(frame.forces, methanol.forces[3], atol=1e-5)
    with h5py.File(path, "a") as file:
        file["methanol/conformations"].attrs["units"] = "furlong"
    with pytest.raises(DistillError, match="unit 'furlong'"):
        read_sources([path])
    with h5py.File(path, "a") as file:
        del file["methanol/dft_total_gradient"]
    with pytest.raises(DistillError, match="not a dataset made by"):
        read_sources([path])


def test_periodic_frames_keep_their_cell(tmp_path: Path, rng: np.random.Generator) -> None:
    judge = load_student("ultra-tiny")
    images = []
    for _ in range(4):
        x = rng.uniform(0, 6, (2, 1, 3)) + rng.normal(0, 0.02, (1, 3, 3)) + np.array(
            [[0, 0, 0], [0.76, 0, 0.59], [-0.76, 0, 0.59]])  # fmt: skip
        frame = LabelledFrame(
            "", np.array([8, 1, 1] * 2), x.reshape(-1, 3), 0.0, np.zeros((6, 3)),
            9 * np.eye(3), np.ones(3, bool),
        )  # fmt: skip
        p = predict(judge, [frame], progress=False)
        atoms = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True)
        atoms.info["REF_energy"] = float(p.energy_pred[0])
        atoms.arrays["REF_forces"] = p.forces_pred
        images.append(atoms)
    ase.io.write(tmp_path / "box.xyz", images, format="extxyz")
    labels = read_sources([tmp_path / "box.xyz"])
    assert all(f.cell is not None and f.pbc.all() for f in labels.frames)
