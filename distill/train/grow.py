"""Training on datasets that grow meanwhile: active learning without waiting for either side."""

from collections.abc import Callable, Sequence
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from distill.data.dataset import Dataset
from distill.student.file import save_student
from distill.student.student import Student
from distill.train.graphs import Graph
from distill.train.module import Distillation
from distill.train.step import parameters_of


class Growing:
    """The labelled geometries of some dataset files, read on as the files grow.

    files: gives those that are there; there may be more from call to call.
    Every ``holdout``-th geometry goes to ``valid``, the others to ``train``.
    """

    def __init__(self, files: Callable[[], Sequence[Path]], student: Student, holdout: int = 20):
        self.files = files
        self.student = student
        self.holdout = holdout
        self.train: list[Graph] = []
        self.valid: list[Graph] = []
        self._read: dict[tuple[Path, str], int] = {}
        self._stamps: dict[Path, int] = {}

    def __len__(self) -> int:
        return len(self.train) + len(self.valid)

    def poll(self) -> int:
        """Reads what is new; returns how many geometries that were."""
        before = len(self)
        for path in self.files():
            if not path.is_file() or self._stamps.get(path) == path.stat().st_mtime_ns:
                continue
            self._stamps[path] = path.stat().st_mtime_ns
            with Dataset.open(path) as dataset:
                for molecule in dataset:
                    key = (path, molecule.name)
                    for k in range(self._read.get(key, 0), len(molecule)):
                        graph = Graph.build(
                            molecule.numbers,
                            molecule.positions[k],
                            molecule.energy[k],
                            molecule.forces[k],
                            self.student.cutoff,
                        )
                        held = (len(self) + 1) % self.holdout == 0
                        (self.valid if held else self.train).append(graph)
                    self._read[key] = len(molecule)
        return len(self) - before


class Grow(Callback):
    """Between epochs: takes in new labels, and hands out the student as it stands."""

    def __init__(self, data: Growing, latest: Path):
        self.data = data
        self.latest = latest

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, Distillation)
        if self.data.poll():
            pl_module.set_valid(self.data.valid)
        if trainer.is_global_zero:
            with torch.no_grad():
                current = [p.detach().clone() for p in parameters_of(pl_module.student)]
                load(pl_module.student, pl_module.average)
                save_student(pl_module.student, self.latest)
                load(pl_module.student, current)


def load(student: Student, parameters: Sequence[torch.Tensor]) -> None:
    """Copies parameters (in ``parameters_of`` order) into a student."""
    with torch.no_grad():
        for own, new in zip(parameters_of(student), parameters):
            own.copy_(new)
