"""Labelling and training side by side: the first part of a run, and most of it."""

import math
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from distill.data.explore import Explorer, Explorers
from distill.data.turns import shares
from distill.errors import DistillError
from distill.run.few import LABELS_END, FewLabels
from distill.run.job import Job
from distill.run.labels import gather_parts, label_files
from distill.run.progress import LabelCount
from distill.run.settings import RunSettings
from distill.run.training import TRAIN_END, card, config_for, minutes_until
from distill.student.file import load_student, save_student, student_path
from distill.student.student import Student
from distill.train.finish import save_with_uncertainty
from distill.train.grow import Grow, Growing
from distill.train.train import fit_reference, train

# labels that training begins with; or what there is so many seconds after the first
ENOUGH_TO_START = 40
FIRST_SECONDS = 10.0
# so long a first label is waited for in any case: on a busy machine explorers start slowly
LEAST_WAIT = 60.0
# seconds without a label after which a run that waits as long as it takes says so
SILENT = 600.0
AFTERWARDS = 0.05
"""The share of the budget for which a label under way is waited for when training has ended."""
RANDOM = "random weights"


def starting_student(settings: RunSettings) -> tuple[Student, str]:
    """The shipped student of the size, fine-tuned from now on; or random weights."""
    if settings.start == "random":
        return Student.untrained(settings.size, settings.seed), RANDOM
    if settings.start != "auto":
        student = load_student(settings.start)
        if student.config.size != settings.size:
            raise DistillError(
                f"{settings.start} has size {student.config.size}, not {settings.size}; "
                f"use --size {student.config.size}."
            )
        return student, settings.start
    try:
        student_path(settings.size)
    except DistillError:
        return Student.untrained(settings.size, settings.seed), RANDOM
    return load_student(settings.size), f"the shipped student '{settings.size}'"


def explore_and_train(job: Job, student: Student, origin: str) -> None:
    """Labelling and training side by side, until their share of the budget is spent; where
    labelling may take as long as it takes, one after the other."""
    settings = job.settings
    work = job.folder.path / "work"
    latest = work / "latest.safetensors"
    if origin != RANDOM and not latest.is_file():
        save_student(student, latest)  # whoever taught it, better than a force field
    gather_parts(settings, job.folder)
    data = Growing(lambda: label_files(job.folder), student)
    data.poll()
    few = FewLabels(job, data, latest, student)
    begun = (work / "train" / "last.ckpt").is_file()
    if not few.ready and not (few.folder.is_dir() and few.late() and len(data)):
        with Explorers(explorers_of(job, data, latest)) as running:
            if not begun and (settings.minutes is not None or not few.are_few()):
                wait_for_labels(job, data, running)
            if begun or not few.are_few():
                train_meanwhile(job, data, running, student, origin, latest)
                return
            few.learn(running)
            few.teach(student, origin)
    else:
        few.teach(student, origin)


def train_meanwhile(
    job: Job, data: Growing, running: Explorers, student: Student, origin: str, latest: Path
) -> None:
    """The labels themselves teach the student, as they come."""
    settings, say = job.settings, job.say
    if student.card.get("teacher", {}).get("name") != settings.teacher:
        fit_reference(student, [*data.train, *data.valid])
    meanwhile = " while the student explores" if running.alive() else ""
    folder = job.folder.path / "work" / "train"
    minutes = minutes_until(job, TRAIN_END)
    say(f"{len(data)} labels so far; training for {minutes:.1f} min{meanwhile}.")
    student = train(
        student, data.train, data.valid, folder, config_for(job, minutes, folder),
        resume=(folder / "last.ckpt").is_file(),
        callbacks=[Grow(data, latest, LabelCount(job, data).now_and_then)],
    )  # fmt: skip
    student.card = card(job, len(data), origin)
    # before all that may go wrong
    final = job.folder.path / "student.safetensors"
    save_with_uncertainty(student, data.train, data.valid, final)
    running.ask_to_stop(at_most=AFTERWARDS * job.clock.budget)
    try:
        running.check()
    except DistillError as error:
        say(f"Beware: {error}")
    say(f"Trained on {len(data)} labelled geometries.")


def explorers_of(job: Job, data: Growing, student: Path) -> list[Explorer]:
    """The explorers of a run, which walk with ``student``; where the number of labels is given,
    they share what ``data`` lacks."""
    count = job.explorers()
    work = job.folder.path / "work"
    found = [
        Explorer(
            job.series.molecules, job.settings.spec(), student, work / f"labels-{k}.h5",
            job.settings.seed + k, given=k == 0,
        )
        for k in range(count)
    ]  # fmt: skip
    if job.settings.labels is None:
        return found
    left = shares(max(0, job.settings.labels - len(data)), count)
    return [replace(one, labels=one.count()[0] + share) for one, share in zip(found, left) if share]


def wait_for_labels(job: Job, data: Growing, running: Explorers) -> None:
    """Until there are enough labels to begin with: all of them, where labelling may take as long as
    it takes, and does not count for the budget.

    Raises DistillError where labelling ends without a label, or none has come at the share of the
    budget at which labelling ends.
    """
    told = LabelCount(job, data)
    began = time.monotonic()
    first = began if len(data) else math.inf
    silent = False
    all_of_them = job.settings.minutes is None
    job.say("Labelling." if all_of_them else "Labelling the first geometries.")
    with (
        job.clock.stopped() if all_of_them else nullcontext(),
        job.console.status(told.sentence()) as shown,
    ):
        while True:
            running.check()
            ended = not running.alive()
            now = time.monotonic()
            if data.poll():
                first = min(first, now)
                shown.update(told.sentence())
                told.now_and_then()
            if not len(data) and not all_of_them:
                check_that_one_comes(job)
            elif not len(data) and not silent and now - began > SILENT:
                silent = True
                job.say(NO_LABEL_YET)
            each_tried = len(data.molecules) >= len(job.series.molecules)
            patience = FIRST_SECONDS if each_tried else TRAIN_END * job.clock.budget / 2
            enough = len(data) >= ENOUGH_TO_START and each_tried
            if ended or (not all_of_them and (enough or now - max(first, began) > patience)):
                break
            time.sleep(0.5)
    if not data.train:
        raise DistillError("Labelling ended without a label; look for the reasons in work/.")
    if all_of_them:
        job.say(told.sentence())


def check_that_one_comes(job: Job) -> None:
    """DistillError where the budget's share for labels is spent; to be asked as long as there is
    none."""
    spent = job.clock.spent()
    if spent > max(LABELS_END * job.clock.budget, LEAST_WAIT):
        raise DistillError(
            f"No label has come in {spent / 60:.1f} min, and what is left of the budget is too "
            "little to learn any; give another folder (-o) and a larger --budget, or --labels N "
            "without --budget, which takes as long as it takes."
        )


NO_LABEL_YET = (
    f"No label has come in {SILENT / 60:.0f} min. If that is longer than the teacher should take, "
    "stop with Ctrl-C; --teacher-option time-limit=SECONDS gives up a geometry that takes too long."
)
