"""Labelling and training side by side: the first part of a run, and most of it."""

import time
from dataclasses import asdict

from distill.data.explore import Explorer, Explorers
from distill.errors import DistillError
from distill.run.job import Job
from distill.run.labels import gather_parts, label_files, teacher_of
from distill.run.settings import RunSettings
from distill.student.file import load_student, save_student, student_path
from distill.student.student import Student
from distill.train.config import LEARNING_RATES, TrainConfig
from distill.train.finish import save_with_uncertainty
from distill.train.grow import Grow, Growing
from distill.train.train import fit_reference, progress_of, train

# the share of the budget at which training ends
TRAIN_END = 0.85
ENOUGH_TO_START = 40


def starting_student(settings: RunSettings) -> tuple[Student, str]:
    """The shipped student of the size, fine-tuned from now on; or random weights."""
    if settings.start == "random":
        return Student.untrained(settings.size, settings.seed), "random weights"
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
        return Student.untrained(settings.size, settings.seed), "random weights"
    return load_student(settings.size), f"the shipped student '{settings.size}'"


def explore_and_train(job: Job, student: Student, origin: str) -> None:
    """Labelling and training side by side, until their share of the budget is spent."""
    settings, molecule, folder, clock, say = (
        job.settings, job.molecule, job.folder, job.clock, job.say,
    )  # fmt: skip
    work = folder.path / "work"
    latest = work / "latest.safetensors"
    same_teacher = student.card.get("teacher", {}).get("name") == settings.teacher
    if same_teacher and not latest.is_file():
        save_student(student, latest)  # good enough to walk with from the first minute
    gather_parts(settings, folder)
    data = Growing(lambda: label_files(folder), student)
    explorers = [
        Explorer(
            molecule, settings.spec(), latest, work / f"labels-{k}.h5", settings.seed + k,
            given=k == 0,
        )
        for k in range(job.explorers())
    ]  # fmt: skip
    with Explorers(explorers) as running:
        say("Labelling the first geometries.")
        while data.poll() == 0 or len(data) < ENOUGH_TO_START:
            running.check()
            time.sleep(0.5)
        if not same_teacher:
            fit_reference(student, [*data.train, *data.valid])
        checkpoint = work / "train" / "last.ckpt"
        resume = checkpoint.is_file()
        minutes = max((TRAIN_END * clock.budget - clock.spent()) / 60.0, 0.02)
        say(f"Training for {minutes:.1f} min while the student explores.")
        config = TrainConfig(
            minutes=minutes + (progress_of(checkpoint)["seconds_done"] / 60.0 if resume else 0.0),
            seed=settings.seed,
            learning_rate=LEARNING_RATES[settings.size],
            steps_per_epoch=100,
            max_valid=40,
        )
        student = train(
            student, data.train, data.valid, work / "train", config,
            resume=resume, callbacks=[Grow(data, latest)],
        )  # fmt: skip
        student.card = {
            "teacher": asdict(teacher_of(label_files(folder))),
            "training_set": {
                "molecules": [molecule.smiles or molecule.name],
                "geometries": len(data),
                "started_from": origin,
            },
            "charges": [molecule.charge],
            "held_out": {},
        }
        # before all that may go wrong
        final = folder.path / "student.safetensors"
        save_with_uncertainty(student, data.train, data.valid, final)
        try:
            running.check()
        except DistillError as error:
            say(f"Beware: {error}")
    say(f"Trained on {len(data)} labelled geometries.")
