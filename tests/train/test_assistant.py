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
    FINE_TUNING,
    LONGEST,
    by_molecule,
    cheap_labels,
    fine_tuning,
    fit_what_is_left,
    gently,
    labelled_by,
    why_not,
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


def test_what_an_assistant_cannot_learn() -> None:
    student = load_student("tiny")
    assert why_not([frame_of("m", [1, 1])] * 3, student) == ""
    assert "cell" in why_not([frame_of("m", [1, 1], cell=np.eye(3))], student)
    assert "lone atoms" in why_not([frame_of("m", [1])] * 3, student)
    assert "Si" in why_not([frame_of("m", [1, 14])], student)


def test_its_trainings_keep_to_the_budget() -> None:
    config = TrainConfig(minutes=10.0, learning_rate=1.0, seed=5)
    part = gently(config, "original", FINE_TUNING)
    assert fine_tuning(25) == FINE_TUNING
    assert [fine_tuning(n)[0] for n in (1, 10, 90, 800)] == [40, 400, 900, 1000]
    assert part.minutes == pytest.approx(1.4) and part.seed == 5
    assert part.learning_rate == pytest.approx(0.1 * LEARNING_RATES["original"])
    assert gently(replace(config, minutes=500.0), "tiny", FINE_TUNING).minutes == LONGEST
    config = TrainConfig(steps=5000)
    assert gently(config, "tiny", FINE_TUNING).steps == FINE_TUNING[0]
    assert gently(replace(config, steps=10), "tiny", FINE_TUNING).steps == 8


def test_free_geometries_are_of_the_molecule_and_beside_it(ethanol: MoleculeData) -> None:
    frame = LabelledFrame(
        "CCO", ethanol.numbers, ethanol.positions[0].astype(float), 1.0, np.zeros((9, 3))
    )
    free = free_geometries(load_student("tiny"), [frame], 80, seed=1)
    again = free_geometries(load_student("tiny"), [frame], 80, seed=1)
    assert len(free) == 80 and not any(f.energy or f.forces.any() for f in free)
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
    for a, b in zip(frames, load_frames(tmp_path / "frames.npz"), strict=True):
        assert (a.name, a.charge, a.spin, a.energy) == (b.name, b.charge, b.spin, b.energy)
        assert (a.numbers == b.numbers).all()
        assert (a.positions == b.positions).all() and (a.forces == b.forces).all()
    save_frames([], tmp_path / "none.npz")
    assert load_frames(tmp_path / "none.npz") == []


@pytest.mark.parametrize("kernel", [True, False])
def test_its_labels_are_a_student_s_own(
    ethanol: MoleculeData, kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against torch in float64; a charge that it has not learned is no hindrance."""
    if not kernel:
        monkeypatch.setattr("distill.kernels.available", lambda: False)
    zero = np.zeros((9, 3))
    frames = [
        LabelledFrame("CCO", ethanol.numbers, x.astype(float), 0.0, zero, charge=-2)
        for x in ethanol.positions[:3]
    ]
    student = load_student("tiny")
    mine = list(labelled_by(student, frames))
    exact = load_student("tiny").double()
    exact.card = {}
    found = predict(exact, frames, progress=False)
    np.testing.assert_allclose([f.energy for f in mine], found.energy_pred, atol=1e-4)
    forces = np.concatenate([f.forces for f in mine])
    np.testing.assert_allclose(forces, found.forces_pred, atol=1e-4)


def test_what_comes_apart_has_geometries_all_the_same() -> None:
    """[PH4+], which the shipped student cannot hold."""
    x = np.array([[0, 0, 0], [1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]]) * 0.81
    phosphonium = replace(frame_of("PH4+", [15, 1, 1, 1, 1], charge=1), positions=x)
    free = free_geometries(load_student("tiny"), [phosphonium], 40, seed=0)
    assert len(free) == 40 and all(f.charge == 1 for f in free)


def test_two_orders_of_atoms_are_two_molecules() -> None:
    x = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.98]])
    one = replace(frame_of("hydroxide", [8, 1], charge=-1), positions=x)
    other = replace(frame_of("hydroxide", [1, 8], charge=-1), positions=x)
    assert [len(group) for group in by_molecule([one, other, one])] == [2, 1]


def test_the_energy_that_a_network_gives_is_kept(ethanol: MoleculeData) -> None:
    """By another teacher, whose energies have another zero: what is left is small at once."""
    frames = [
        LabelledFrame("CCO", ethanol.numbers, x.astype(float), float(e), f.astype(float))
        for x, e, f in zip(ethanol.positions, ethanol.energy, ethanol.forces, strict=True)
    ][:10]
    student = load_student("tiny")
    fit_what_is_left(student, frames)
    found = predict(student, frames, progress=False)
    error = found.energy_pred - found.energy_ref
    assert abs(error.mean()) < 1e-3 and error.std() < 0.1


def test_cheap_labels_have_the_charge_and_leave_radicals_out() -> None:
    x = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.98]])
    anion = replace(frame_of("hydroxide", [8, 1], charge=-1), positions=x)
    radical = replace(frame_of("hydroxyl", [8, 1]), positions=x)
    triplet = replace(frame_of("oxygen", [8, 8], spin=3), positions=1.2 * x)
    (found,) = cheap_labels([anion, radical, triplet])
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


def test_assistants_that_cannot_be(ethanol: MoleculeData, tmp_path: Path) -> None:
    """They are refused before anything is made, and auto goes without."""
    data = labels(ethanol, tmp_path / "few.h5", slice(0, 8))
    quick = TrainConfig(steps=2, steps_per_epoch=1)

    def trained(data: Path, out: str, assistant: str, **more: object) -> None:
        train_from_datasets(
            [data], tmp_path / out, quick, start="ultra-tiny", size="ultra-tiny",
            assistant=assistant, progress=False, **more,  # type: ignore[arg-type]
        )  # fmt: skip

    with pytest.raises(DistillError, match="nobody"):
        trained(data, "s", "nobody")
    periodic = tmp_path / "periodic.xyz"
    periodic.write_text(
        "".join(
            '2\nLattice="9 0 0 0 9 0 0 0 9" pbc="T T T" Properties=species:S:1:pos:R:3:forces:R:3 '
            f"energy=-{k}.5\nH 0 0 0 0 0 -8\nH 0 0 0.6{k} 0 0 8\n"
            for k in range(4)
        )
    )
    with pytest.raises(DistillError, match="periodic cell; use --assistant none"):
        trained(periodic, "s", "original")
    assert not (tmp_path / "s").exists()
    trained(periodic, "s", "auto")
    assert "assistant" not in load_student(tmp_path / "s" / "student.safetensors").card


@pytest.mark.slow
def test_a_run_keeps_to_its_assistant(ethanol: MoleculeData, tmp_path: Path) -> None:
    """What was begun with one is not gone on with without, nor the other way round."""
    data = labels(ethanol, tmp_path / "few.h5", slice(0, 8))

    def trained(out: str, assistant: str, resume: bool) -> None:
        train_from_datasets(
            [data], tmp_path / out, TrainConfig(steps=4, steps_per_epoch=2), start="ultra-tiny",
            size="ultra-tiny", assistant=assistant, resume=resume, progress=False,
        )  # fmt: skip

    trained("with", "auto", resume=False)
    with pytest.raises(DistillError, match="has assistant = original, not none"):
        trained("with", "none", resume=True)
    trained("without", "none", resume=False)
    with pytest.raises(DistillError, match="has assistant = none, not original"):
        trained("without", "original", resume=True)
    trained("without", "auto", resume=True)
    assert not (tmp_path / "without" / "assistant").exists()
