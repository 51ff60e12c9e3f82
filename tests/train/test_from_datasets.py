"""`distill train`: what is held out, what is refused, what the card says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.data.dataset import MoleculeData, TeacherRecord, write
from distill.errors import DistillError
from distill.evaluate import evaluate
from distill.evaluate.frames import LabelledFrame, read_frames
from distill.lock import sole_user
from distill.student import Student, load_student, save_student
from distill.train.config import TrainConfig
from distill.train.from_datasets import hold_out, train_from_datasets
from tests.train.test_sources import extxyz

QUICK = TrainConfig(steps=2, steps_per_epoch=1, backend="eager")
XTB = TeacherRecord("gfn2-xtb", "tblite", True)


def frames(names: list[str]) -> list[LabelledFrame]:
    zero = np.zeros((1, 3))
    return [LabelledFrame(n, np.array([1]), zero + k, 0.0, zero) for k, n in enumerate(names)]


def test_molecules_are_held_out_whole() -> None:
    split = hold_out(frames([f"m{k // 3}" for k in range(60)]), seed=1)
    held = {f.name for f in split.valid}
    assert len(held) == 2 and len(split.valid) == 6 and len(split.train) == 54
    assert not held & {f.name for f in split.train}
    assert held == {f.name for f in hold_out(frames([f"m{k // 3}" for k in range(60)]), 1).valid}


def test_geometries_are_held_out_of_one_molecule() -> None:
    split = hold_out(frames(["m"] * 30), seed=1)
    where = [float(f.positions[0, 0]) for f in (*split.train, *split.valid)]
    assert len(split.valid) == 3 and sorted(where) == list(range(30))
    with pytest.raises(DistillError, match="too few"):
        hold_out(frames(["m"]), seed=1)


@pytest.mark.slow
def test_the_card_tells_the_truth(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "student"
    train_from_datasets([dataset], out, QUICK, size="ultra-tiny", progress=False)
    student = load_student(out / "student.safetensors")
    assert student.card["teacher"]["name"] == "gfn2-xtb"
    assert student.card["training_set"]["geometries"] == 36
    held = hold_out(read_frames(dataset), QUICK.seed).valid
    report = evaluate(student, held, tmp_path / "report", progress=False)
    for key in ("force_rmse", "force_r2", "energy_mae_per_atom"):
        assert student.card["held_out"][key] == pytest.approx(report[key])
    assert {p.name for p in out.iterdir()} == {
        "student.safetensors", "metrics.csv", "curve.png", "last.ckpt", "train.json",
    }  # fmt: skip


@pytest.mark.slow
def test_a_run_killed_at_its_end_gives_the_same_student(dataset: Path, tmp_path: Path) -> None:
    train_from_datasets([dataset], tmp_path / "s", QUICK, size="ultra-tiny", progress=False)
    path = tmp_path / "s" / "student.safetensors"
    before = path.read_bytes()
    path.unlink()
    train_from_datasets(
        [dataset], tmp_path / "s", QUICK, size="ultra-tiny", resume=True, progress=False
    )
    assert path.read_bytes() == before


@pytest.mark.slow
def test_training_on_from_a_student(dataset: Path, tmp_path: Path) -> None:
    first = Student.untrained("ultra-tiny", seed=7)
    first.card = {"teacher": {"name": "gfn2-xtb"}}
    first.reference += torch.arange(10, dtype=torch.float64)
    save_student(first, tmp_path / "first.safetensors")
    start = str(tmp_path / "first.safetensors")
    second = train_from_datasets(
        [dataset], tmp_path / "s", QUICK, size="ultra-tiny", start=start, progress=False
    )
    # the same teacher: its isolated atoms stay what they were
    assert torch.equal(second.reference, first.reference)
    assert second.card["training_set"]["started_from"] == start
    with pytest.raises(DistillError, match="has size ultra-tiny, not tiny"):
        train_from_datasets([dataset], tmp_path / "t", QUICK, size="tiny", start=start)


def test_what_does_not_go_together(dataset: Path, methanol: MoleculeData, tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    write(other, replace(XTB, name="gfn1-xtb"), [methanol])
    clash = tmp_path / "clash.h5"
    swapped = replace(methanol, numbers=methanol.numbers[::-1].copy())
    write(clash, XTB, [swapped])
    metal = tmp_path / "metal.h5"
    write(metal, XTB, [replace(methanol, name="ferrum", numbers=np.full(6, 26))])
    for second, match in (
        (other, "gfn1-xtb .* two teachers"),
        (clash, "two different molecules named 'CO'"),
        (metal, "does not know Fe"),
    ):
        with pytest.raises(DistillError, match=match):
            train_from_datasets([dataset, second], tmp_path / "s", QUICK, size="ultra-tiny")
    assert not (tmp_path / "s").exists()


def test_a_folder_is_kept(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DistillError, match="not empty"):
        train_from_datasets([dataset], tmp_path, QUICK, size="ultra-tiny")
    with pytest.raises(DistillError, match="no training run to resume"):
        train_from_datasets([dataset], tmp_path, QUICK, size="ultra-tiny", resume=True)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["fit_latent", "predict", "compute_metrics", "plot_curve"])
def test_the_student_is_there_whatever_comes_after(
    what: str, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a library's mood")

    where = {"plot_curve": "train", "fit_latent": "finish"}.get(what, "from_datasets")
    monkeypatch.setattr(f"distill.train.{where}.{what}", broken)
    arguments = ([dataset], tmp_path / "s", QUICK)
    if what in ("predict", "compute_metrics"):
        with pytest.raises(DistillError, match="student is in .*could not be judged .*mood"):
            train_from_datasets(*arguments, size="ultra-tiny", progress=False)
    else:
        train_from_datasets(*arguments, size="ultra-tiny", progress=False)
    student = load_student(tmp_path / "s" / "student.safetensors")
    assert student.card["teacher"]["name"] == "gfn2-xtb"
    assert (student.latent is None) == (what == "fit_latent")
    assert ("held_out" in student.card) == (what in ("fit_latent", "plot_curve"))


def test_a_charge_of_its_own_is_refused_before_the_training(
    dataset: Path, methanol: MoleculeData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distill.train.from_datasets.train", None)
    write(tmp_path / "anion.h5", XTB, [replace(methanol, name="anion", charge=-1)])
    with pytest.raises(DistillError, match=r"anion\.h5 has molecules of charge -1"):
        train_from_datasets(
            [dataset], tmp_path / "s", QUICK, size="ultra-tiny", valid=tmp_path / "anion.h5"
        )
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
def test_two_trainings_do_not_share_a_folder(dataset: Path, tmp_path: Path) -> None:
    arguments = ([dataset], tmp_path / "s", QUICK)
    train_from_datasets(*arguments, size="ultra-tiny", progress=False)
    with sole_user(tmp_path / "s"), pytest.raises(DistillError, match="Another run is at work"):
        train_from_datasets(*arguments, size="ultra-tiny", resume=True, progress=False)


@pytest.mark.slow
def test_labels_of_ones_own_make_a_student(methanol: MoleculeData, tmp_path: Path) -> None:
    path = extxyz(tmp_path / "mine.xyz", methanol)
    train_from_datasets([path], tmp_path / "s", QUICK, size="ultra-tiny", progress=False)
    card = load_student(tmp_path / "s" / "student.safetensors").card
    assert card["teacher"]["name"] == "own labels"
    assert card["training_set"]["molecules"] == ["CH4O"]
    assert card["held_out"]["geometries"] == 4


@pytest.mark.slow
def test_a_damaged_checkpoint_is_a_sentence(dataset: Path, tmp_path: Path) -> None:
    arguments = ([dataset], tmp_path / "s", QUICK)
    train_from_datasets(*arguments, size="ultra-tiny", progress=False)
    checkpoint = tmp_path / "s" / "last.ckpt"
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 16
    for damaged in (content, content[:-50], b""):
        checkpoint.write_bytes(damaged)
        with pytest.raises(DistillError, match=r"last\.ckpt cannot be read .* delete it"):
            train_from_datasets(*arguments, size="ultra-tiny", resume=True, progress=False)
    checkpoint.unlink()  # as it says
    train_from_datasets(*arguments, size="ultra-tiny", resume=True, progress=False)
