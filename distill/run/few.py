"""A run whose labels are few, as those of a dear teacher: an assistant learns them as they come.

Explorers label; meanwhile the assistant (:mod:`distill.train.assistant`) rehearses, and learns all
labels anew whenever they are half as many again. The explorers walk with it. Before it learns new
labels it is judged by them, so that how the error falls with the labels costs no label. At last it
teaches the student.
"""

import json
import math
import shutil
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from distill.data.explore import Explorers, first_geometries
from distill.errors import DistillError
from distill.evaluate.frames import LabelledFrame, read_frames
from distill.evaluate.metrics import compute_metrics
from distill.evaluate.predict import predict
from distill.run.folder import write_json
from distill.run.job import Job
from distill.run.labels import label_files, teacher_of
from distill.run.progress import LabelCount
from distill.run.training import TRAIN_END, card, config_for, minutes_until
from distill.student.file import load_student, save_student
from distill.student.student import Student
from distill.train.assistant import (
    FEW,
    REAL,
    SHIPPED,
    Assistant,
    fine_tuning,
    fitted,
    gently,
)
from distill.train.finish import save_with_uncertainty
from distill.train.free_geometries import load_frames
from distill.train.graphs import graphs_of
from distill.train.grow import Growing
from distill.train.latent import fit_latent
from distill.train.train import train

LABELS_END = 0.6
"""The share of the budget at which labelling ends, so that there is time to teach."""
LEARNING_CURVE = "learning_curve.json"
HOLDOUT = 20
"""One in so many free geometries is set aside."""
LONGEST = 4.0
"""Minutes that the student is taught, at most."""
MORE = 1.5
"""Times as many labels: then the assistant learns them all anew."""
STARTS = 8
"""Conformers of each molecule that the free geometries begin at."""


class FewLabels:
    """The assistant of a run, and what it has learned so far. latest: where explorers look for the
    student to walk with."""

    def __init__(self, job: Job, data: Growing, latest: Path):
        self.job = job
        self.data = data
        self.latest = latest
        self.work = job.folder.path / "work"
        self.folder = self.work / "assistant"
        self.curve_file = self.work / LEARNING_CURVE
        given = job.settings.assistant
        self.name = SHIPPED if given == "auto" else given
        self.seen: set[bytes] = set()
        self.starts = [
            LabelledFrame(
                molecule.name,
                molecule.numbers,
                positions,
                math.nan,
                np.full_like(positions, np.nan),
                charge=molecule.charge,
            )
            for molecule in job.series.molecules
            if len(molecule) > 1
            for positions in first_geometries(molecule, STARTS, job.settings.seed)
        ]

    @property
    def ready(self) -> bool:
        """Whether an assistant has learned all labels already, before a stop."""
        return (self.folder / "student.safetensors").is_file()

    def are_few(self) -> bool:
        """Whether the labels that can be had are so few that an assistant is the better way."""
        settings, clock = self.job.settings, self.job.clock
        if settings.assistant == "none" or not self.starts:
            return False
        if settings.assistant != "auto":
            return True
        if settings.start == "random":
            return False
        wanted = math.inf if settings.labels is None else settings.labels
        if settings.minutes is None:
            return wanted <= FEW
        seconds = max(0.0, LABELS_END * clock.budget - clock.spent())
        more = self.job.explorers() * seconds / max(self.data.seconds_each, 1e-9)
        return min(len(self.data) + more, wanted) <= FEW  # with the price unknown: no

    def frames(self) -> list[LabelledFrame]:
        """All labels so far."""
        return [frame for path in label_files(self.job.folder) for frame in read_frames(path)]

    def assistant(self, frames: list[LabelledFrame], progress: bool = False) -> Assistant:
        """One for these labels."""
        config = config_for(self.job, self.job.clock.budget / 60.0, self.folder)
        singlets = all(molecule.spin == 1 for molecule in self.job.series.molecules)
        return Assistant(
            self.name, frames, teacher_of(label_files(self.job.folder)), self.folder, config,
            progress, self.starts, rehearses=singlets,
        )  # fmt: skip

    def learn(self, running: Explorers) -> None:
        """Goes on until labelling has ended, or its share of the budget."""
        job, clock = self.job, self.job.clock
        unhurried = job.settings.minutes is None
        told, due = LabelCount(job, self.data), 1
        current: Student | None = None
        with (
            clock.stopped() if unhurried else nullcontext(),
            job.console.status(told.sentence()) as shown,
        ):
            while running.alive() and (unhurried or clock.spent() < LABELS_END * clock.budget):
                if self.data.poll():
                    shown.update(told.sentence())
                    told.now_and_then()
                if len(self.data) < due:
                    running.check()
                    time.sleep(0.5)
                    continue
                frames = self.frames()
                self.judge(current, frames)
                current = self.fit(frames)
                due = max(len(frames) + 1, math.ceil(MORE * len(frames)))
        running.stop()
        self.data.poll()
        if not len(self.data):
            running.check()
            raise DistillError("Labelling ended without a label; look for the reasons in work/.")
        self.judge(current, self.frames())
        job.say(told.sentence())

    def judge(self, student: Student | None, frames: list[LabelledFrame]) -> None:
        """Notes how far the assistant is off on labels that it has not learned."""
        new = [frame for frame in frames if frame.positions.tobytes() not in self.seen]
        learned = len(self.seen)
        self.seen |= {frame.positions.tobytes() for frame in frames}
        if not new or (student is None and learned):
            return
        try:
            report = compute_metrics(predict(student or self.untaught(), new, progress=False))
        except DistillError:
            return
        curve = self.curve()
        curve.append({"labels": learned, "force_rmse": report["force_rmse"], "frames": len(new)})
        write_json(self.curve_file, curve)
        self.job.say(
            f"{learned} labels learned: force RMSE {report['force_rmse']:.4f} eV/Å on the next "
            f"{len(new)}."
        )

    def untaught(self) -> Student:
        """The assistant before it has learned a label."""
        student = load_student(self.name)
        student.card = {}
        return student

    def curve(self) -> list[dict[str, float]]:
        """Labels learned, the force error (RMSE, eV/Å) on the next, and how many these were."""
        try:
            found: list[dict[str, float]] = json.loads(self.curve_file.read_text())
        except (OSError, ValueError):
            return []
        return found

    def fit(self, frames: list[LabelledFrame]) -> Student:
        """The assistant, fine-tuned on these labels; the explorers walk with it from now on."""
        helper = self.assistant(frames)
        student = helper.rehearsed()
        config = gently(helper.config, student.config.size, fine_tuning(len(frames)))
        folder = self.folder / f"with-{len(frames)}"
        student = fitted(student, frames, [], folder, config, progress=False)
        shutil.rmtree(folder, ignore_errors=True)
        student.card = {}
        save_student(student, self.latest)
        return student

    def teach(self, student: Student, origin: str) -> None:
        """An assistant that has learned all labels teaches the student, which is saved."""
        job = self.job
        frames = self.frames()
        helper = self.assistant(frames, progress=True)
        taught = helper.taught([])
        job.say(f"The assistant has learned {len(frames)} labels; it teaches the student.")
        free = helper.lessons(taught)[: -REAL * len(frames)]
        held = graphs_of(free[::HOLDOUT], student)
        lessons = [f for k, f in enumerate(free) if k % HOLDOUT] + REAL * frames
        learned = graphs_of(lessons, student)
        if self.name == (job.settings.size if job.settings.start == "auto" else job.settings.start):
            student = taught  # it is what was asked for
        else:
            student.reference.copy_(taught.reference)
            folder = self.work / "train"
            minutes = min(LONGEST, minutes_until(job, TRAIN_END))
            config = config_for(job, minutes, folder)
            student = train(
                student, learned, held, folder, config, resume=(folder / "last.ckpt").is_file()
            )
        student.card = card(job, len(frames), origin)
        student.card["assistant"] = helper.card()
        save_with_uncertainty(student, learned, held, job.folder.path / "student.safetensors")


def refit_uncertainty(job: Job, student: Student) -> None:
    """Fits the uncertainty of a student that an assistant taught to its errors to the teacher: at
    first those to the assistant were all there was."""
    work, test = job.folder.path / "work", job.folder.path / "test.h5"
    file = work / "assistant" / "lessons.npz"
    if not file.is_file() or not test.is_file():
        return
    checked = read_frames(test)
    try:
        lessons = graphs_of(load_frames(file, checked), student)
        student.latent = fit_latent(student, lessons, graphs_of(checked, student)) or student.latent
    except (DistillError, KeyError):  # a molecule that the check has no frame of
        return
