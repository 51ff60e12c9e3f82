"""The exploring half of active learning: walk where the student walks, and ask the teacher.

Explorers run as processes of their own beside the training. Each takes the student as it stands,
runs MD with it at several temperatures, labels frames on the way, and goes on from there.
"""

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from distill.data.dataset import Dataset
from distill.data.label import label
from distill.data.molecules import Molecule
from distill.data.sampling import Frame, Sampling, sample
from distill.data.student_md import bonded_pairs, intact, student_md
from distill.data.workers import children_of_one_thread, end
from distill.errors import DistillError
from distill.stop import ctrl_c_later, follow_parent, like_ctrl_c
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

    dataset: the first file of labels; see :meth:`files`. given: whether the user's geometries are
    labelled, too; one explorer of several does that.
    """

    molecule: Molecule
    teacher: TeacherSpec
    student: Path
    dataset: Path
    seed: int
    steps_between: int = 50
    frames: int = 6
    given: bool = True

    def run(self, parent: Connection | None = None) -> None:
        """Explores until told to stop; labels go to the files, batch by batch.

        ``parent`` says so by sending anything, or by its end. SIGTERM ends it at once, but for the
        label under way. What makes going on senseless is sent there.
        """
        follow_parent()
        # deaf to Ctrl-C, but what Ctrl-C does is what SIGTERM shall do
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, like_ctrl_c)
        torch.set_num_threads(1)
        try:
            self.explore(lambda: parent is not None and parent.poll())
        except KeyboardInterrupt:
            pass
        except Exception as error:
            if parent is None:
                raise
            known = isinstance(error, DistillError)
            parent.send(str(error) if known else f"{type(error).__name__}: {error}")
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def explore(self, told_to_stop: Callable[[], bool]) -> None:
        """Walks and labels in turn; raises DistillError when nothing has ever worked."""
        replicas: list[NDArray[np.float64]] = []
        done = self.labelled()
        while not told_to_stop():
            rng = np.random.default_rng([self.seed, done])
            try:
                frames, replicas = self.walk(rng, replicas)
                report = label(
                    # of a batch cut off, all is kept but what is under way
                    [(self.molecule, frames[k : k + 6]) for k in range(0, len(frames), 6)],
                    self.teacher,
                    self.next_file(),
                    workers=0,
                    progress=False,
                )
                done += report.labelled + report.failed
            except DistillError:
                if not any(self._counts(failed=False)):
                    raise
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
        begun = any(self._counts(failed=True))
        if not self.student.is_file() or not begun:
            return self.without_student(seed, self.given and not begun), []
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
            masses=self.molecule.masses,
        )
        if not any(taken):  # the student cannot hold the molecule yet
            return self.without_student(seed, given=False), []
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

    def without_student(self, seed: int, given: bool) -> list[Frame]:
        """Frames of a force field's MD."""
        plan = Sampling(
            frames=FIRST_FRAMES, conformers=6, steps_between=50, displaced=0.1, given=given,
            seed=seed,
        )  # fmt: skip
        return sample(self.molecule, plan)


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
        # one connection for each: whoever is killed holds no lock that another waits for
        pairs = [context.Pipe() for _ in explorers]
        self.connections = [ours for ours, _ in pairs]
        self.processes = [
            context.Process(target=explorer.run, args=(theirs,), daemon=True)
            for explorer, (_, theirs) in zip(explorers, pairs)
        ]

    def __enter__(self) -> "Explorers":
        try:
            with children_of_one_thread(), ctrl_c_later() as ctrl_c:
                for process in self.processes:
                    if not ctrl_c:
                        process.start()
        except BaseException:
            self.stop(0.0)
            raise
        return self

    def check(self) -> None:
        """Raises DistillError when every explorer has ended, with what the last one said."""
        if any(process.is_alive() for process in self.processes):
            return
        said = ["it was killed: is the memory full?"]
        for connection in self.connections:
            try:
                if connection.poll():
                    said.append(connection.recv())
            except (EOFError, OSError):
                pass
        raise DistillError(
            f"Labelling ended by itself ({said[-1].rstrip('.')}); the labels so far are kept, and "
            "the same command goes on from them."
        )

    def stop(self, patience: float = 30.0) -> None:
        """Lets every explorer finish its batch, for ``patience`` seconds at most."""
        started = [process for process in self.processes if process.pid is not None]
        try:
            for connection in self.connections:
                try:
                    connection.send("stop")
                except OSError:
                    pass  # it has ended
            deadline = time.monotonic() + patience
            for process in started:
                process.join(max(0.0, deadline - time.monotonic()))
        finally:
            with ctrl_c_later():
                end([process for process in started if process.is_alive()], patience=3.0)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop(30.0 if kind is None else 0.0)
