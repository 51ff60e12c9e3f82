"""The teacher assistant: its free geometries, its labels, and whether few labels are worth it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from distill import load_student
from distill.data.dataset import MoleculeData, TeacherRecord, write
from distill.data.label import run_task
from distill.data.molecules import from_smiles
from distill.data.sampling import Sampling
from distill.errors import DistillError
from distill.evaluate import compute_metrics, predict, read_frames
from distill.evaluate.frames import LabelledFrame
from distill.teacher.base import TeacherSpec
from distill.teacher.xtb import XTBTeacher
from distill.train.assistant import (
    FEW,
    FINE_TUNING,
    LONGEST,
    cheap_labels,
    fine_tuning,
    gently,
    labelled_by,
    why_none,
)
from distill.train.config import LEARNING_RATES, TrainConfig
from distill.train.free_geometries import DISPLACED, free_geometries, load_frames, save_frames
from distill.train.from_datasets import train_from_datasets
from distill.train.graphs import graphs_of
from distill.train.train import fit_reference

GFN1 = TeacherRecord("gfn1-xtb", "tblite", True)


def frame_of(name: str, numbers: list[int], **more: object) -> LabelledFrame:
    zero = np.zeros((len(numbers), 3))
    return LabelledFrame(name, np.array(numbers), zero, 0.0, zero, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def ethanol() -> MoleculeData:
    """By GFN1-xTB, which no shipped student knows."""
    plan = Sampling(frames=60, conformers=4, steps_between=20, md="tiny", given=False)
    return run_task(from_smiles("CCO"), plan, TeacherSpec("gfn1-xtb"))


def labels(data: MoleculeData, path: Path, which: slice) -> Path:
    """Some of them as a dataset."""
    keys = ("positions", "energy", "forces", "temperature", "source")
    some = {key: getattr(data, key)[which] for key in keys}
    write(path, GFN1, [replace(data, **some, tasks=())])
    return path


def test_when_an_assistant_is_the_better_way() -> None:
    few = [frame_of("m", [1, 1])] * 3
    assert why_none(few) == ""
    assert "enough" in why_none([frame_of("m", [1, 1])] * (FEW + 1))
    assert "cell" in why_none([*few, frame_of("m", [1, 1], cell=np.eye(3))])
    assert "lone atom" in why_none([frame_of("m", [1])] * 3)


def test_its_trainings_keep_to_the_budget() -> None:
    config = TrainConfig(minutes=10.0, learning_rate=1.0, seed=5)
    part = gently(config, "original", FINE_TUNING)
    assert fine_tuning(25) == FINE_TUNING
    assert [fine_tuning(n)[0] for n in (1, 5, 60, 800)] == [40, 200, 600, 1000]
    assert part.minutes == pytest.approx(0.7) and part.seed == 5
    assert part.learning_rate == pytest.approx(0.1 * LEARNING_RATES["original"])
    assert gently(replace(config, minutes=500.0), "tiny", FINE_TUNING).minutes == LONGEST
    config = TrainConfig(steps=5000)
    assert gently(config, "tiny", FINE_TUNING).steps == FINE_TUNING[0]
    assert gently(replace(config, steps=10), "tiny", FINE_TUNING).steps == 4


def test_free_geometries_are_of_the_molecule_and_beside_it(ethanol: MoleculeData) -> None:
    frame = LabelledFrame(
        "CCO", ethanol.numbers, ethanol.positions[0].astype(float), 1.0, np.zeros((9, 3))
    )
    free = free_geometries(load_student("tiny"), [frame], 80, seed=1)
    again = free_geometries(load_student("tiny"), [frame], 80, seed=1)
    assert len(free) == 80 and all(np.isnan(f.energy) and np.isnan(f.forces).all() for f in free)
    assert all((a.positions == b.positions).all() for a, b in zip(free, again, strict=True))
    # hydrogens of MD at 700 K are within 0.15 Å of where they are bonded; the others need not be
    x = np.array([f.positions for f in free])
    away = np.linalg.norm(x[:, 3:, None] - x[:, None, :3], axis=-1).min(-1)
    bond = np.linalg.norm(frame.positions[3:, None] - frame.positions[None, :3], axis=-1).min(-1)
    far = (np.abs(away - bond) > 0.13).any(-1).sum()
    assert np.abs(away - bond).max() < 0.8 and 0.3 * DISPLACED * 80 < far < 1.5 * DISPLACED * 80


def test_frames_are_kept_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [
        replace(
            frame_of(name, numbers, charge=charge), positions=rng.normal(size=(len(numbers), 3)),
            forces=rng.normal(size=(len(numbers), 3)), energy=float(k),
        )
        for k, (name, numbers, charge) in enumerate(
            [("water/1", [8, 1, 1], 0), ("ion", [8, 1], -1), ("water/1", [8, 1, 1], 0)]
        )
    ]  # fmt: skip
    save_frames(frames, tmp_path / "frames.npz")
    for a, b in zip(frames, load_frames(tmp_path / "frames.npz", frames), strict=True):
        assert (a.name, a.charge, a.energy) == (b.name, b.charge, b.energy)
        assert (a.positions == b.positions).all() and (a.forces == b.forces).all()


def test_its_labels_are_a_student_s_own(ethanol: MoleculeData) -> None:
    """The kernel against torch."""
    frames = [
        LabelledFrame("CCO", ethanol.numbers, x.astype(float), np.nan, np.full((9, 3), np.nan))
        for x in ethanol.positions[:3]
    ]
    student = load_student("tiny")
    zero = [replace(f, energy=0.0, forces=np.zeros((9, 3))) for f in frames]
    found = predict(student, zero, progress=False)
    mine = labelled_by(student, frames)
    np.testing.assert_allclose([f.energy for f in mine], found.energy_pred, atol=1e-4)
    forces = np.concatenate([f.forces for f in mine])
    np.testing.assert_allclose(forces, found.forces_pred, atol=1e-4)


def test_cheap_labels_have_the_charge_and_leave_radicals_out() -> None:
    x = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.98]])
    anion = replace(frame_of("hydroxide", [8, 1], charge=-1), positions=x)
    radical = replace(frame_of("hydroxyl", [8, 1]), positions=x)
    (found,) = cheap_labels([anion, radical])
    (label,) = XTBTeacher().label([Atoms("OH", x, info={"charge": -1})])
    assert found.charge == -1 and found.energy == pytest.approx(label.energy, abs=1e-6)
    np.testing.assert_allclose(found.forces, label.forces, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("count", [5, 25])
def test_few_labels_make_a_better_student(
    ethanol: MoleculeData, tmp_path: Path, count: int
) -> None:
    """On labels of the same teacher that it has not learned; and the card says who taught it."""
    data = labels(ethanol, tmp_path / "few.h5", slice(0, count))
    config = TrainConfig(steps=800, learning_rate=LEARNING_RATES["ultra-tiny"])
    student = train_from_datasets(
        [data], tmp_path / "s", config, size="ultra-tiny", start="ultra-tiny", progress=False,
        assistant="auto",
    )  # fmt: skip
    others = read_frames(labels(ethanol, tmp_path / "others.h5", slice(30, 60)))
    before = load_student("ultra-tiny")
    fit_reference(before, graphs_of(others, before))
    errors = [
        compute_metrics(predict(one, others, progress=False))["force_rmse"]
        for one in (before, student)
    ]
    assert errors[1] < 0.7 * errors[0]
    card = load_student(tmp_path / "s" / "student.safetensors").card
    assert card["teacher"]["name"] == "gfn1-xtb"
    assert card["assistant"]["started_from"] == "original"
    assert (
        card["assistant"]["labels"]
        == card["training_set"]["geometries"]
        == count - max(1, round(0.1 * count))
    )


@pytest.mark.slow
def test_a_stopped_run_keeps_its_assistant(ethanol: MoleculeData, tmp_path: Path) -> None:
    data = labels(ethanol, tmp_path / "few.h5", slice(0, 8))
    config = TrainConfig(steps=20, learning_rate=1e-3, steps_per_epoch=5)

    def trained(resume: bool) -> bytes:
        train_from_datasets(
            [data], tmp_path / "s", config, size="tiny", start="tiny", progress=False,
            assistant="auto", resume=resume,
        )  # fmt: skip
        return (tmp_path / "s" / "student.safetensors").read_bytes()

    first = trained(resume=False)
    assistant = tmp_path / "s" / "assistant" / "student.safetensors"
    when = assistant.stat().st_mtime_ns
    for name in ("student.safetensors", "last.ckpt", "plateau.ckpt"):
        (tmp_path / "s" / name).unlink(missing_ok=True)
    assert trained(resume=True) == first
    assert assistant.stat().st_mtime_ns == when
    assistant.unlink()  # stopped while it learned: what it had rehearsed is kept
    (tmp_path / "s" / "student.safetensors").unlink()
    assert trained(resume=True) == first


@pytest.mark.slow
def test_original_is_its_own_assistant(ethanol: MoleculeData, tmp_path: Path) -> None:
    data = labels(ethanol, tmp_path / "few.h5", slice(0, 8))
    student = train_from_datasets(
        [data], tmp_path / "s", TrainConfig(steps=4), size="original", start="original",
        progress=False, assistant="auto",
    )  # fmt: skip
    assert student.config.size == "original"
    assert not (tmp_path / "s" / "assistant" / "student.safetensors").exists()


def test_an_assistant_that_is_not_there(ethanol: MoleculeData, tmp_path: Path) -> None:
    data = labels(ethanol, tmp_path / "few.h5", slice(0, 8))
    with pytest.raises(DistillError, match="nobody"):
        train_from_datasets(
            [data], tmp_path / "s", TrainConfig(steps=4), start="tiny", assistant="nobody"
        )
    assert not (tmp_path / "s").exists()
