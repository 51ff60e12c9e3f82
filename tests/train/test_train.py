"""Training runs: they learn, repeat, stop and go on."""

import csv
import math
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from distill.errors import DistillError
from distill.student import Student, load_student, save_student
from distill.train.config import TrainConfig
from distill.train.graphs import Graph
from distill.train.module import Distillation
from distill.train.step import parameters_of
from distill.train.train import fit_reference, train

CONFIG = TrainConfig(
    steps=40, learning_rate=3e-3, steps_per_epoch=10, warm_up_steps=5, averaging=0.9,
    backend="eager",
)  # fmt: skip


class Stop(Callback):
    """Ctrl-C when an epoch begins."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch == self.epoch:
            raise KeyboardInterrupt


def weights(student: Student) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in parameters_of(student)])


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def fresh(graphs: list[Graph]) -> Student:
    student = Student.untrained("ultra-tiny")
    fit_reference(student, graphs)
    return student


@pytest.fixture(scope="module")
def uninterrupted(
    graphs: list[Graph], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Student]:
    out = tmp_path_factory.mktemp("train")
    return out, train(fresh(graphs), graphs[:36], graphs[36:], out, CONFIG, progress=False)


@pytest.mark.slow
def test_training_learns(uninterrupted: tuple[Path, Student]) -> None:
    out, student = uninterrupted
    log = rows(out)
    assert [float(row["step"]) for row in log] == [10, 20, 30, 40]
    for key in ("train_loss", "valid_loss", "valid_force_rmse"):
        assert float(log[-1][key]) < 0.8 * float(log[0][key]), key
    assert float(log[-1]["learning_rate"]) == 0.0
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert not student.training and not any(p.requires_grad for p in student.parameters())


@pytest.mark.slow
def test_a_seed_gives_one_student(
    uninterrupted: tuple[Path, Student], graphs: list[Graph], tmp_path: Path
) -> None:
    again = train(fresh(graphs), graphs[:36], graphs[36:], tmp_path, CONFIG, progress=False)
    assert torch.equal(weights(again), weights(uninterrupted[1]))


@pytest.mark.slow
def test_a_stopped_run_goes_on_exactly(
    uninterrupted: tuple[Path, Student], graphs: list[Graph], tmp_path: Path
) -> None:
    out, expected = uninterrupted
    handler = signal.getsignal(signal.SIGINT)
    for epoch in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            train(
                fresh(graphs), graphs[:36], graphs[36:], tmp_path, CONFIG,
                resume=epoch > 1, progress=False, callbacks=[Stop(epoch)],
            )  # fmt: skip
        assert signal.getsignal(signal.SIGINT) is handler
    resumed = train(
        fresh(graphs), graphs[:36], graphs[36:], tmp_path, CONFIG, resume=True, progress=False
    )
    assert torch.equal(weights(resumed), weights(expected))
    for mine, theirs in zip(rows(tmp_path), rows(out), strict=True):
        assert {**mine, "minutes": ""} == {**theirs, "minutes": ""}
    # and once more, where nothing is left to do
    finished = train(
        fresh(graphs), graphs[:36], graphs[36:], tmp_path, CONFIG, resume=True, progress=False
    )
    assert torch.equal(weights(finished), weights(expected))
    assert len(rows(tmp_path)) == 4


@pytest.mark.slow
def test_more_steps_later_are_as_good_as_at_once(graphs: list[Graph], tmp_path: Path) -> None:
    def run(out: Path, steps: int, resume: bool = False) -> Student:
        config = replace(CONFIG, steps=steps, decay=0.5)
        parts = graphs[:36], graphs[36:]
        return train(fresh(graphs), *parts, out, config, resume=resume, progress=False)

    at_once = run(tmp_path / "at once", 80)
    run(tmp_path / "extended", 40)
    rates = [float(row["learning_rate"]) for row in rows(tmp_path / "extended")]
    assert rates == pytest.approx([3e-3, 3e-3, 1.5e-3, 0.0])
    later = run(tmp_path / "extended", 80, resume=True)
    assert torch.equal(weights(later), weights(at_once))
    assert [float(row["step"]) for row in rows(tmp_path / "extended")] == [*range(10, 81, 10)]


@pytest.mark.slow
def test_other_settings_cannot_resume(
    uninterrupted: tuple[Path, Student], graphs: list[Graph]
) -> None:
    out, _ = uninterrupted
    before = (out / "last.ckpt").read_bytes()
    other = TrainConfig(**{**vars(CONFIG), "seed": 5})
    with pytest.raises(DistillError, match="seed = 0, not 5"):
        train(fresh(graphs), graphs, [], out, other, resume=True, progress=False)
    with pytest.raises(DistillError, match="holds another training run"):
        train(fresh(graphs), graphs, [], out, CONFIG, progress=False)
    assert (out / "last.ckpt").read_bytes() == before


def test_nothing_to_resume(graphs: list[Graph], tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="without --resume"):
        train(fresh(graphs), graphs, [], tmp_path, CONFIG, resume=True, progress=False)


def test_nothing_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="nothing to train on"):
        train(Student.untrained("ultra-tiny"), [], [], tmp_path, CONFIG, progress=False)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({}, "either minutes or steps"),
        ({"minutes": 1.0, "steps": 10}, "either minutes or steps"),
        ({"minutes": 0.0}, "must be positive"),
        ({"steps": -1}, "must be positive"),
        ({"steps": 1, "decay": 0.0}, "decay, a part of the budget"),
        ({"steps": 1, "backend": "fast"}, "auto, kernel, compiled, eager"),
    ],
)
def test_settings_that_make_no_sense(wrong: dict[str, float], match: str) -> None:
    with pytest.raises(DistillError, match=match):
        TrainConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_result_has_averaged_weights(
    uninterrupted: tuple[Path, Student], tmp_path: Path
) -> None:
    out, student = uninterrupted
    state = torch.load(out / "last.ckpt", weights_only=True)
    average = torch.cat([p.reshape(-1) for p in state["distill"]["average"]])
    assert torch.equal(weights(student), average)
    last = [v.reshape(-1) for k, v in state["state_dict"].items() if ".painn." in f".{k}"]
    assert not torch.equal(torch.cat(last), average)
    save_student(student, tmp_path / "student.safetensors")
    assert torch.equal(weights(load_student(tmp_path / "student.safetensors")), average)


def test_gradients_that_are_nonsense_are_not_followed(graphs: list[Graph]) -> None:
    module = Distillation(fresh(graphs), CONFIG, graphs[:36], graphs[36:])
    module.steps_done = CONFIG.warm_up_steps
    usual = [1.0, 3.0, 0.5, 2.0]
    assert all(module.is_sane(norm) for norm in usual * 10)
    assert not any(module.is_sane(norm) for norm in (1e4, math.inf, math.nan))
    assert all(module.is_sane(norm) for norm in usual)
    # but a run whose gradients have grown for good goes on
    assert not module.is_sane(500.0)
    assert sum(module.is_sane(500.0) for _ in range(100)) > 80


TWO_PROCESSES = """
import sys
from pathlib import Path
import torch
from distill.train.config import TrainConfig
from distill.train.from_datasets import train_from_datasets

if __name__ == "__main__":
    torch.set_num_threads(1)
    config = TrainConfig(
        steps=20, learning_rate=3e-3, steps_per_epoch=10, warm_up_steps=5, averaging=0.9,
        backend="eager", devices=int(sys.argv[3]),
    )
    train_from_datasets(
        [Path(sys.argv[1])], Path(sys.argv[2]), config, size="ultra-tiny", progress=False
    )
"""


@pytest.mark.slow
def test_two_processes_train_together(dataset: Path, tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(TWO_PROCESSES)
    out = tmp_path / "two"
    result = subprocess.run(
        [sys.executable, script, dataset, out, "2"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    log = rows(out)
    assert [float(row["step"]) for row in log] == [10, 20]
    assert 0 < float(log[-1]["valid_loss"]) < float(log[0]["valid_loss"])
    student = load_student(out / "student.safetensors")
    assert torch.isfinite(weights(student)).all()
    assert student.card["training_set"]["geometries"] == 36
