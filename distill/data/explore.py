"""The exploring half of active learning: walk where the student walks, and ask the teacher.

Explorers run as processes of their own beside the training. Each takes the student as it stands,
runs MD with it at several temperatures (``distill.data.walk``), and labels frames on the way; as
many at a time as the teacher does in ten seconds (``distill.data.turns``).
"""

import math
import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from distill.data.dataset import Dataset
from distill.data.label import LabelReport, label
from distill.data.molecules import Molecule
from distill.data.sampling import Frame, Sampling, sample
from distill.data.student_md import forces_of
from distill.data.thinning import thin
from distill.data.turns import Standing, whose_turn
from distill.data.walk import walk
from distill.data.workers import children_of_one_thread, end
from distill.errors import DistillError
from distill.stop import ctrl_c_later, follow_parent, like_ctrl_c
from distill.student.file import load_student
from distill.teacher.base import TeacherSpec

THINNING = Sampling().thinning
FRAMES_A_FILE = 500
"""A batch is written with the file that it goes into, so that a kill loses no label; a new file is
begun before that takes long."""
HOPELESS = 4
"""Geometries that all failed: so many, and two of each molecule, end an explorer."""
PATIENCE, AS_LONG = 5.0, 1.5
"""At the end what is under way is waited for: AS_LONG times what a label takes, from the moment on
at which explorers were told to stop, and so many seconds at least."""
MOST_TROUBLE = 20
"""Batches in a row that came to nothing, and two of each molecule: then it ends, too."""


@dataclass(frozen=True)
class Explorer:
    """What an explorer needs to know. ``student`` need not exist yet: then a force field walks.

    molecules: it goes round them, see :func:`distill.data.turns.whose_turn`. dataset: the first
    file of labels; see :meth:`files`. labels: it ends when its files hold so many. given: whether
    the user's geometries are labelled, too; one explorer of several does that.
    """

    molecules: Sequence[Molecule]
    teacher: TeacherSpec
    student: Path
    dataset: Path
    seed: int
    labels: int | None = None
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
        """Walks and labels in turn; raises DistillError when nothing has ever worked, or nothing
        works any more."""
        standings = self.standings()
        good, failed = self.count()
        turn = trouble = 0
        nothing: set[str] = set()  # molecules that have left not even a failure on record
        while not told_to_stop() and not self.enough(good, failed):
            turn += 1
            one = whose_turn(standings, turn, self.seed)
            rng = np.random.default_rng([self.seed, good + failed, turn])
            latest, tried, seconds_each = 0, 1, math.nan
            try:
                count = one.batch()
                if self.labels is not None:
                    count = min(count, self.labels - good)
                report = self.label(one, count, rng, told_to_stop)
                latest, seconds_each = report.labelled, report.seconds_each
                tried = latest + report.failed
                good, failed = good + latest, failed + report.failed
                trouble = 0 if tried else trouble + 1
            except DistillError:
                before = failed
                good, failed = self.count()  # a batch that failed is on record
                if failed == before:
                    nothing.add(one.molecule.name)
                twice = 2 * len(standings)
                hopeless = failed >= max(HOPELESS, twice) or len(nothing) == len(standings)
                trouble += 1
                if trouble > max(MOST_TROUBLE, twice) or (not good and hopeless):
                    raise
                time.sleep(min(2.0, 0.1 * trouble))
            error = self.error(one.molecule, latest) if len(standings) > 1 else None
            one.came(tried, seconds_each, error)

    def label(
        self,
        one: Standing,
        count: int,
        rng: np.random.Generator,
        told_to_stop: Callable[[], bool] = lambda: False,
    ) -> LabelReport:
        """Labels a batch: of the user's geometries half of it, the rest from the student's MD;
        nothing when told to stop before the teacher is asked, who may take minutes.

        DistillError where no geometry can be made, or none could be labelled.
        """
        share = min(len(one.given), (count + 1 - one.tried % 2) // 2)
        frames = [Frame(x, "given") for x in one.given[:share]]
        del one.given[:share]
        if count > share:
            student = load_student(self.student) if self.student.is_file() else None
            try:
                more, one.replicas = walk(one.molecule, student, rng, count - share, one.replicas)
            except (RuntimeError, ValueError) as error:  # RDKit's: of this molecule alone
                name = one.molecule.name
                raise DistillError(f"No geometry of {name} could be made: {error}") from error
            frames += more
        if told_to_stop():
            return LabelReport(0, 0, 0)
        return label(
            # of a batch cut off, all is kept but what is under way
            [(one.molecule, frames[k : k + 6]) for k in range(0, len(frames), 6)],
            self.teacher,
            self.next_file(),
            workers=0,
            progress=False,
        )

    def error(self, molecule: Molecule, latest: int) -> float | None:
        """The student's force error (RMS, eV/Å) on the latest labels of a molecule, 0 where all
        failed; None without a student."""
        if not self.student.is_file():
            return None
        if not latest:
            return 0.0
        with Dataset.open(self.files()[-1]) as dataset:
            found = dataset[molecule.name]
        x = found.positions[-latest:].astype(np.float64)
        forces = forces_of(load_student(self.student), molecule.numbers, latest)(x)
        error = float(np.sqrt(((forces - found.forces[-latest:]) ** 2).mean()))
        return error if math.isfinite(error) else math.inf

    def standings(self) -> list[Standing]:
        """Of each molecule, what the files tell."""
        found = {molecule.name: Standing(molecule) for molecule in self.molecules}
        seen: set[bytes] = set()
        for path in self.files():
            with Dataset.open(path) as dataset:
                for data in dataset:
                    both = [*data.positions]
                    both += [] if data.failed_positions is None else [*data.failed_positions]
                    if data.name in found:
                        found[data.name].tried += len(both)
                    seen |= {np.asarray(x, dtype=np.float32).tobytes() for x in both}
        for one in found.values() if self.given else ():
            own = one.molecule.positions
            kept = thin(np.array(own), THINNING).tolist() if len(own) > 1 else range(len(own))
            one.given = [own[k] for k in kept if own[k].astype(np.float32).tobytes() not in seen]
        return list(found.values())

    def enough(self, good: int, failed: int) -> bool:
        """Whether it has labelled its share, or as many have failed as make that hopeless."""
        return self.labels is not None and (
            good >= self.labels or failed >= self.labels + HOPELESS * len(self.molecules)
        )

    def done(self) -> bool:
        """Whether it has ended, or will end, because it has labelled enough."""
        return self.enough(*self.count())

    def usual_seconds(self) -> float:
        """What a label takes, as the latest file tells: the median of the molecule that takes
        longest; 0 where there is none."""
        found = [0.0]
        for path in self.files()[-1:]:
            with Dataset.open(path) as dataset:
                each = [one.seconds for one in dataset if one.seconds is not None]
            known = [seconds[np.isfinite(seconds)] for seconds in each]
            found += [float(np.median(seconds)) for seconds in known if len(seconds)]
        return max(found)

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

    def count(self) -> tuple[int, int]:
        """Geometries labelled so far, and those that the teacher failed on."""
        good = failed = 0
        for path in self.files():
            with Dataset.open(path) as dataset:
                good, failed = good + dataset.frames, failed + dataset.failures
        return good, failed


def first_geometries(molecule: Molecule, count: int, seed: int) -> list[NDArray[np.float64]]:
    """``count`` geometries to start MD from: gently warmed conformers."""
    plan = Sampling(
        frames=count, conformers=count, temperatures=(100.0,), steps_between=20, equilibration=20,
        displaced=0.0, thinning=0.0, given=False, seed=seed,
    )  # fmt: skip
    frames = sample(molecule, plan)
    return [frames[k % len(frames)].positions for k in range(count)]


class Explorers:
    """Explorers in processes of their own; leave the ``with`` block to stop them.

    Then the label under way, which may have taken minutes, is waited for; with an error, or Ctrl-C,
    it is not. Who has other work to do meanwhile says :meth:`ask_to_stop` before that.
    """

    def __init__(self, explorers: Sequence[Explorer]):
        self.explorers = explorers
        self.asked: float | None = None  # when, by the monotonic clock
        self.at_most = math.inf
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

    def alive(self) -> bool:
        """Whether any of them is still at work."""
        return any(process.is_alive() for process in self.processes)

    def check(self) -> None:
        """Raises DistillError when every explorer has ended, with what the last one said; unless
        they have labelled enough, or ended because they were asked to."""
        if self.alive() or all(explorer.done() for explorer in self.explorers):
            return
        said = [] if self.asked is not None else ["it was killed: is the memory full?"]
        for connection in self.connections:
            try:
                if connection.poll():
                    said.append(connection.recv())
            except (EOFError, OSError):
                pass
        if not said:
            return
        ended = f"Labelling ended by itself ({said[-1].rstrip('.')})"
        if not any(explorer.count()[0] for explorer in self.explorers):
            raise DistillError(
                f"{ended}, without a label; correct that, and give another folder (-o)."
            )
        raise DistillError(
            f"{ended}; the labels so far are kept, and the same command goes on from them."
        )

    def ask_to_stop(self, at_most: float = math.inf) -> None:
        """Tells every explorer to end after the label, or the ten seconds of labels, that it is at;
        returns at once. at_most: seconds from now on that :meth:`stop` may wait for that."""
        if self.asked is None:
            self.asked = time.monotonic()
            for connection in self.connections:
                try:
                    connection.send("stop")
                except OSError:
                    pass  # it has ended
        self.at_most = min(self.at_most, self.asked_ago() + at_most)

    def asked_ago(self) -> float:
        """Seconds since they were asked to stop."""
        return 0.0 if self.asked is None else time.monotonic() - self.asked

    def patience(self) -> float:
        """Seconds to wait from now on for what is under way: so long that the teacher will have had
        AS_LONG times what a label takes since the explorers were asked to stop."""
        usual = 0.0
        for explorer in self.explorers:
            try:
                usual = max(usual, explorer.usual_seconds())
            except DistillError:  # a damaged file is told of by whoever needs its labels
                pass
        needed = max(PATIENCE, AS_LONG * usual - self.asked_ago())
        return max(0.0, min(needed, self.at_most - self.asked_ago()))

    def stop(self, patience: float | None = None) -> None:
        """Lets every explorer finish what it is at, and then ends it; waits for ``patience``
        seconds at most, or as long as a label takes (see :meth:`patience`)."""
        started = [process for process in self.processes if process.pid is not None]
        try:
            self.ask_to_stop()
            deadline = time.monotonic() + (self.patience() if patience is None else patience)
            for process in started:
                process.join(max(0.0, deadline - time.monotonic()))
        finally:
            with ctrl_c_later():
                end([process for process in started if process.is_alive()], patience=3.0)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop(None if kind is None else 0.0)
