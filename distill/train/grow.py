"""Training on datasets that grow meanwhile: active learning without waiting for either side."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from distill.data.dataset import Dataset
from distill.student.file import save_student
from distill.student.student import Student
from distill.train.graphs import Graph
from distill.train.module import Distillation
from distill.train.step import parameters_of

FIRST_HELD = 5
"""The number of the geometry that is the first to be set aside."""


class Growing:
    """The labelled geometries of some dataset files, read on as the files grow.

    files: gives those that are there; there may be more from call to call.
    One of ``holdout`` geometries goes to ``valid``, the others to ``train``; the fifth is the first
    there, so that there is one when labels are few. molecules: the names of those tried so far,
    with the number of their labels. seconds_each: of a label, NaN as long as that is unknown.
    """

    def __init__(self, files: Callable[[], Sequence[Path]], student: Student, holdout: int = 20):
        self.files = files
        self.student = student
        self.holdout = holdout
        self.train: list[Graph] = []
        self.valid: list[Graph] = []
        self.molecules: dict[str, int] = {}
        self._seconds: list[float] = []
        self._read: dict[tuple[Path, str], int] = {}
        self._stamps: dict[Path, int] = {}

    def __len__(self) -> int:
        return len(self.train) + len(self.valid)

    @property
    def seconds_each(self) -> float:
        return float(np.mean(self._seconds)) if self._seconds else math.nan

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
                    known = self._read.get(key, 0)
                    if molecule.seconds is not None:
                        new = molecule.seconds[known:]
                        self._seconds += new[np.isfinite(new)].tolist()
                    count = self.molecules.get(molecule.name, 0)
                    self.molecules[molecule.name] = count + len(molecule) - known
                    for k in range(known, len(molecule)):
                        graph = Graph.build(
                            molecule.numbers,
                            molecule.positions[k],
                            molecule.energy[k],
                            molecule.forces[k],
                            self.student.cutoff,
                            molecule=molecule.name,
                        )
                        held = len(self) % self.holdout == min(FIRST_HELD, self.holdout) - 1
                        (self.valid if held else self.train).append(graph)
                    self._read[key] = len(molecule)
        return len(self) - before


class Grow(Callback):
    """Between epochs: takes in new labels, tells of them, hands out the student as it stands."""

    def __init__(self, data: Growing, latest: Path, told: Callable[[], None] = lambda: None):
        self.data = data
        self.latest = latest
        self.told = told

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, Distillation)
        if self.data.poll():
            pl_module.set_valid(self.data.valid)
            self.told()
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
