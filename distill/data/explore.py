"""The exploring half of active learning: walk where the student walks, and ask the teacher.

Explorers run as processes of their own beside the training. Each takes the student as it stands,
runs MD with it at several temperatures, labels frames on the way, and goes on from there.
"""

import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from distill.data.dataset import Dataset
from distill.data.label import label
from distill.data.molecules import Molecule
from distill.data.sampling import Frame, Sampling, sample
from distill.data.student_md import bonded_pairs, intact, student_md
from distill.errors import DistillError
from distill.student.file import load_student
from distill.teacher.base import TeacherSpec

TEMPERATURES = (300.0, 400.0, 500.0, 500.0, 600.0, 700.0)
FIRST_FRAMES = 48
FRAMES_A_FILE = 500
"""A batch is written with the file that it goes into, so that a kill loses no label; a new file is
begun before that takes long."""


@dataclass(frozen=True)
class Explorer:
    """What an explorer needs to know. ``student`` need not exist yet: then a force field walks.

    dataset: the first file of labels; see :meth:`files`.
    """

    molecule: Molecule
    teacher: TeacherSpec
    student: Path
    dataset: Path
    seed: int
    steps_between: int = 50
    frames: int = 6

    def run(self, stop: Event | None = None) -> None:
        """Explores until told to stop; labels go to the files, batch by batch."""
        follow_parent()
        torch.set_num_threads(1)
        replicas: list[NDArray[np.float64]] = []
        done = self.labelled()
        while stop is None or not stop.is_set():
            rng = np.random.default_rng([self.seed, done])
            frames, replicas = self.walk(rng, replicas)
            try:
                report = label(
                    [(self.molecule, frames)],
                    self.teacher,
                    self.next_file(),
                    workers=0,
                    progress=False,
                )
                done += report.labelled + report.failed
            except DistillError as error:
                if not any(self._counts(failed=False)):  # nothing has ever worked: give up
                    print(error, file=sys.stderr, flush=True)
                    sys.exit(2)
                done = self.labelled()  # a batch that failed is on record
                time.sleep(1.0)

    def files(self) -> list[Path]:
        """The files of labels that are there: NAME.h5, NAME-001.h5, ..."""
        later = sorted(self.dataset.parent.glob(f"{self.dataset.stem}-[0-9]*.h5"))
        return [path for path in (self.dataset, *later) if path.is_file()]

    def next_file(self) -> Path:
        """Where the next batch goes."""
        found = self.files()
        if not found:
            return self.dataset
        with Dataset.open(found[-1]) as dataset:
            if dataset.frames < FRAMES_A_FILE:
                return found[-1]
        return self.dataset.with_name(f"{self.dataset.stem}-{len(found):03d}.h5")

    def labelled(self, failed: bool = True) -> int:
        """Geometries labelled so far, with or without those that the teacher failed on."""
        return sum(self._counts(failed))

    def _counts(self, failed: bool) -> Iterator[int]:
        """The same for each file."""
        for path in self.files():
            with Dataset.open(path) as dataset:
                count = dataset.frames + (dataset.failures if failed else 0)
            yield count

    def walk(
        self, rng: np.random.Generator, replicas: Sequence[NDArray[np.float64]]
    ) -> tuple[list[Frame], list[NDArray[np.float64]]]:
        """New frames, and where the replicas stand now."""
        seed = int(rng.integers(2**31))
        if not self.student.is_file() or not any(self._counts(failed=True)):
            plan = Sampling(
                frames=FIRST_FRAMES, conformers=6, steps_between=50, displaced=0.1, seed=seed
            )
            return sample(self.molecule, plan), []
        starts = list(replicas)
        afresh = not starts or rng.random() < 0.3  # often, so that no basin is forgotten
        if afresh:
            starts = first_geometries(self.molecule, len(TEMPERATURES), seed)
        taken = student_md(
            load_student(self.student),
            self.molecule.numbers,
            starts,
            TEMPERATURES,
            frames=self.frames,
            steps_between=self.steps_between,
            equilibration=100 if afresh else 0,
            seed=seed,
        )
        # a replica that came apart starts again elsewhere
        bonds = bonded_pairs(self.molecule.numbers, starts[0])
        ends = [t[-1].positions if t else s for t, s in zip(taken, starts)]
        ends = [
            e
            if intact(self.molecule.numbers, e, bonds)
            else first_geometries(self.molecule, 1, seed)[0]
            for e in ends
        ]
        return [frame for replica in taken for frame in replica], ends


def first_geometries(molecule: Molecule, count: int, seed: int) -> list[NDArray[np.float64]]:
    """``count`` geometries to start MD from: gently warmed conformers."""
    plan = Sampling(
        frames=count, conformers=count, temperatures=(100.0,), steps_between=20, equilibration=20,
        displaced=0.0, thinning=0.0, given=False, seed=seed,
    )  # fmt: skip
    frames = sample(molecule, plan)
    return [frames[k % len(frames)].positions for k in range(count)]


class Explorers:
    """Explorers in processes of their own; leave the ``with`` block to stop them."""

    def __init__(self, explorers: Sequence[Explorer]):
        context = multiprocessing.get_context("spawn")
        self.stop_event = context.Event()
        self.processes = [
            context.Process(target=explorer.run, args=(self.stop_event,), daemon=True)
            for explorer in explorers
        ]

    def __enter__(self) -> "Explorers":
        with children_of_one_thread():
            for process in self.processes:
                process.start()
        return self

    def check(self) -> None:
        """Raises DistillError when every explorer has died."""
        if not self.stop_event.is_set() and not any(p.is_alive() for p in self.processes):
            raise DistillError(
                "Labelling ended by itself: see the message above; the labels so far are kept, "
                "and the same command goes on from them."
            )

    def stop(self, patience: float = 30.0) -> None:
        """Lets every explorer finish its batch, for ``patience`` seconds at most."""
        self.stop_event.set()
        deadline = time.monotonic() + patience
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.terminate()
                process.join()

    def __exit__(self, *_: object) -> None:
        self.stop()
