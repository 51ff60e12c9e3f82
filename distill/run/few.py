"""A run whose labels are few, as those of a dear teacher: an assistant learns them as they come.

Explorers label; meanwhile the assistant (:mod:`distill.train.assistant`) rehearses, and learns all
labels anew whenever they are half as many again. The explorers walk with it. Before it learns new
labels it is judged by them, so that how the error falls with the labels costs no label. At last it
teaches the student.
"""

import json
import math
import time
from contextlib import nullcontext
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from distill.data.dataset import Dataset
from distill.data.explore import Explorers, first_geometries
from distill.errors import DistillError, reason
from distill.evaluate.frames import LabelledFrame, read_frames
from distill.evaluate.metrics import compute_metrics
from distill.evaluate.predict import predict
from distill.run.folder import write_json
from distill.run.job import Job
from distill.run.labels import label_files, teacher_of
from distill.run.progress import LabelCount
from distill.run.training import TRAIN_END, card, config_for, minutes_until
from distill.student.file import load_student, same, save_student
from distill.student.student import Student
from distill.train.assistant import AUTO, FEW, NONE, REAL, STEPS, Assistant, own_or_shipped
from distill.train.finish import save_with_uncertainty
from distill.train.free_geometries import load_frames
from distill.train.graphs import graphs_of
from distill.train.grow import Growing
from distill.train.latent import fit_latent
from distill.train.train import train

LABELS_END = 0.5
"""The share of the budget at which labelling ends, so that there is time to teach."""
LEAST = 0.15
"""The share of the budget that the student is taught for, at least."""
LONGEST = 4.0
"""Minutes that it is taught, at most."""
MORE = 1.5
"""Times as many labels: then the assistant learns them all anew."""
FEW_MINUTES = 10.0
"""Minutes of budget that an assistant needs where there are as many as FEW labels."""
STARTS = 8
"""Conformers of each molecule that the free geometries begin at."""
LEARNING_CURVE = "learning_curve.json"
HOLDOUT = 20
"""One in so many free geometries is set aside."""


class FewLabels:
    """The assistant of a run, and what it has learned so far. latest: where explorers look for the
    student to walk with."""

    def __init__(self, job: Job, data: Growing, latest: Path, student: Student):
        settings = job.settings
        self.job = job
        self.data = data
        self.latest = latest
        self.work = job.folder.path / "work"
        self.folder = self.work / "assistant"
        self.curve_file = self.work / LEARNING_CURVE
        self.seen: set[bytes] = set()
        self.name = settings.assistant
        if self.name == AUTO:
            self.name = own_or_shipped(settings.start, student, settings.teacher)

    @cached_property
    def starts(self) -> list[LabelledFrame]:
        """Conformers of all molecules; energies and forces are 0."""
        return [
            LabelledFrame(
                molecule.name, molecule.numbers, positions, 0.0, np.zeros_like(positions),
                charge=molecule.charge, spin=molecule.spin,
            )
            for molecule in self.job.series.molecules
            if len(molecule) > 1
            for positions in first_geometries(molecule, STARTS, self.job.settings.seed)
        ]  # fmt: skip

    @property
    def ready(self) -> bool:
        """Whether an assistant has learned all labels already, before a stop."""
        return (self.folder / "lessons.npz").is_file()

    @property
    def unhurried(self) -> bool:
        """Whether labelling may take as long as it takes."""
        return self.job.settings.minutes is None

    def are_few(self) -> bool:
        """Whether the labels that can be had are so few that an assistant is the better way."""
        settings, clock, molecules = self.job.settings, self.job.clock, self.job.series.molecules
        if settings.assistant == NONE or all(len(molecule) < 2 for molecule in molecules):
            return False
        if settings.assistant != AUTO:
            return True
        if settings.start == "random":
            return False
        known = load_student(self.name)
        if not set(np.concatenate([m.numbers for m in molecules])) <= set(known.config.elements):
            return False
        wanted = math.inf if settings.labels is None else settings.labels
        if settings.minutes is None:
            return wanted <= FEW
        seconds = max(0.0, LABELS_END * clock.budget - clock.spent())
        more = self.job.explorers() * seconds / max(self.data.seconds_each, 1e-9)
        # with the price unknown: no
        return min(len(self.data) + more, wanted) <= FEW * min(1.0, settings.minutes / FEW_MINUTES)

    def frames(self) -> list[LabelledFrame]:
        """All labels so far."""
        found = []
        for path in label_files(self.job.folder):
            with Dataset.open(path) as dataset:
                labelled = dataset.frames > 0  # else the teacher has failed so far
            found += read_frames(path) if labelled else []
        return found

    def assistant(self, frames: list[LabelledFrame], progress: bool = False) -> Assistant:
        """One for these labels."""
        config = config_for(self.job, self.job.clock.budget / 60.0, self.folder)
        if self.unhurried:  # neither has the assistant to hurry
            config = replace(config, minutes=None, steps=STEPS[self.job.settings.size])
        teacher = teacher_of(label_files(self.job.folder))
        return Assistant(self.name, frames, teacher, self.folder, config, progress, self.starts)

    def late(self) -> bool:
        """Whether labelling has had its share of the budget."""
        clock = self.job.clock
        return self.job.settings.minutes is not None and clock.spent() > LABELS_END * clock.budget

    def learn(self, running: Explorers) -> None:
        """Goes on until labelling has ended, or its share of the budget."""
        job, clock = self.job, self.job.clock
        unhurried = self.unhurried
        told, due, took = LabelCount(job, self.data), 1, 0.0
        current: Student | None = None
        with (
            clock.stopped() if unhurried else nullcontext(),
            job.console.status(told.sentence()) as shown,
        ):
            while running.alive() and not self.late():
                if self.data.poll():
                    shown.update(told.sentence())
                    told.now_and_then()
                # what cannot be learned in time is learned at the end
                time_left = unhurried or clock.spent() + took < LABELS_END * clock.budget
                if len(self.data) < due or not time_left:
                    time.sleep(0.5)
                    continue
                frames, began = self.frames(), time.monotonic()
                self.judge(current, frames)
                current = self.fit(frames)
                took = time.monotonic() - began
                due = max(len(frames) + 1, math.ceil(MORE * len(frames)))
            self.data.poll()
            if not running.alive():
                running.check()  # unless they have labelled all that was wanted
            if not len(self.data):
                raise DistillError(
                    "Labelling took longer than its share of the budget without a label; give a "
                    "larger --budget, or --labels alone."
                )
        # a label under way is for the dataset alone, and waited for as long as there is time
        running.ask_to_stop(math.inf if unhurried else (1.0 - LABELS_END) * clock.budget)
        self.judge(current, self.frames())
        job.say(told.sentence())

    def judge(self, student: Student | None, frames: list[LabelledFrame]) -> None:
        """Notes how far the assistant is off on labels that it has not learned."""
        new = [frame for frame in frames if frame.positions.tobytes() not in self.seen]
        learned, curve = len(self.seen), self.curve()
        self.seen |= {frame.positions.tobytes() for frame in frames}
        if not new or (student is None and (learned or curve)):
            return  # after a stop they are known already
        student = student or load_student(self.name)
        student.card = {}  # it is asked about a charge that it may not know
        try:
            report = compute_metrics(predict(student, new, progress=False))
        except DistillError:
            return
        curve.append({"labels": learned, "force_rmse": report["force_rmse"], "frames": len(new)})
        write_json(self.curve_file, curve)
        self.job.say(
            f"{learned} labels learned: force RMSE {report['force_rmse']:.4f} eV/Å on the next "
            f"{len(new)}."
        )

    def curve(self) -> list[dict[str, float]]:
        """Labels learned, the force error (RMSE, eV/Å) on the next, and how many these were."""
        try:
            found: list[dict[str, float]] = json.loads(self.curve_file.read_text())
        except (OSError, ValueError):
            return []
        return found

    def fit(self, frames: list[LabelledFrame]) -> Student:
        """The assistant that has learned these labels; the explorers walk with it from now on."""
        student = self.assistant(frames).taught()
        walker = copy(student)
        walker.card = {}
        save_student(walker, self.latest)
        return student

    def teach(self, student: Student, origin: str) -> None:
        """An assistant that has learned all labels teaches the student, which is saved."""
        job = self.job
        helper = self.assistant(self.frames(), progress=True)
        taught = helper.taught()
        free, dear = helper.lessons(taught)
        labels = len(dear) // REAL
        job.say(f"The assistant has learned {labels} labels; it teaches the student.")
        held = graphs_of(free[::HOLDOUT] or dear, student)
        learned = graphs_of([f for k, f in enumerate(free) if k % HOLDOUT] + dear, student)
        if same(self.name, job.settings.size if job.settings.start == AUTO else job.settings.start):
            student = taught  # it is what was asked for
        else:
            student.reference.copy_(taught.reference)
            folder = self.work / "train"
            minutes = max(minutes_until(job, TRAIN_END), LEAST * job.clock.budget / 60.0)
            config = config_for(job, minutes, folder)
            config = replace(config, minutes=min(LONGEST, config.minutes or LONGEST))
            if self.unhurried:
                config = replace(config, minutes=None, steps=STEPS[job.settings.size])
            student = train(
                student, learned, held, folder, config, resume=(folder / "last.ckpt").is_file()
            )
        student.card = card(job, labels, origin)
        student.card["assistant"] = helper.card()
        save_with_uncertainty(student, learned, held, job.folder.path / "student.safetensors")


def refit_uncertainty(job: Job, student: Student) -> None:
    """Fits the uncertainty of a student that an assistant taught to its errors to the teacher: at
    first those to the assistant were all there was."""
    file = job.folder.path / "work" / "assistant" / "lessons.npz"
    if not file.is_file():
        return
    try:
        lessons = graphs_of(load_frames(file), student)
        checked = graphs_of(read_frames(job.folder.path / "test.h5"), student)
        student.latent = fit_latent(student, lessons, checked) or student.latent
    except Exception as error:  # numpy and torch raise many kinds for what they cannot fit
        job.say(f"The uncertainty is that to the assistant: {reason(error)}")
