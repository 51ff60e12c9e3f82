"""From dataset files to a student file: what ``distill train`` does."""

import json
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from distill.data.dataset import TeacherRecord
from distill.errors import DistillError, first_line
from distill.evaluate.label_keys import LabelKeys
from distill.evaluate.metrics import HEADLINE, compute_metrics
from distill.evaluate.predict import predict
from distill.lock import sole_user
from distill.student.file import load_student, same, save_student
from distill.student.student import Student
from distill.teacher.worth import teacher_of
from distill.train.assistant import (
    AUTO,
    FEW,
    FINE_TUNING,
    NONE,
    SHIPPED,
    STEPS,
    Assistant,
    fine_tuning,
    fit_what_is_left,
    own_or_shipped,
    why_not,
)
from distill.train.config import TrainConfig
from distill.train.device import resolve_device
from distill.train.finish import save_with_uncertainty
from distill.train.graphs import Graph, graphs_of
from distill.train.hold_out import Split, check_valid, hold_out
from distill.train.sources import OWN, read_sources
from distill.train.train import fit_reference, train
from distill.whole import check_writable, whole_file


def train_from_datasets(
    data: Sequence[Path],
    out: Path,
    config: TrainConfig,
    *,
    size: str = "tiny",
    start: str | None = None,
    valid: Path | None = None,
    resume: bool = False,
    progress: bool = True,
    keys: LabelKeys | None = None,
    assistant: str = NONE,
    budget_given: bool = True,
) -> Student:
    """Trains a student of a named size, or ``start``, into the folder ``out``.

    data: datasets of ``distill label``, extended XYZ with energies and forces, SPICE's HDF5, or
    folders of them (see :func:`distill.train.sources.files_of`). ``out`` receives
    student.safetensors with its card, metrics.csv and curve.png. Without a ``valid`` file a tenth
    of the molecules (of the geometries, when there is one molecule) is held out by the seed. keys:
    the names of energy and forces in extended XYZ. assistant: "none", a shipped student or a
    student file that learns the labels first and then teaches ``student``, or "auto": that where
    labels are few (see :mod:`distill.train.assistant`). budget_given: False where the minutes of
    ``config`` are a default for many labels; with an assistant a few thousand steps will do.

    Raises DistillError, and writes nothing, when the datasets have different teachers, the student
    does not know an element, ``valid`` has a charge that is not trained on, or ``out`` holds
    anything (with ``resume``: when it holds no run with these settings). When something fails after
    the training, the student is there all the same.
    """
    config = resolve_device(config)
    check_writable(out)
    # the other processes of one training run this function, too
    with sole_user(out) if first_rank() else nullcontext():
        student = load_student(start) if start else Student.untrained(size, config.seed)
        if start and student.config.size != size:
            raise DistillError(
                f"{start} has size {student.config.size}, not {size}; leave out --size."
            )
        labels = read_sources(data, valid, keys)
        for frame in [*labels.frames, *(labels.valid or [])]:
            student.check_elements(frame.numbers)
        if valid is None or labels.valid is None:
            split = hold_out(labels.frames, config.seed)
        else:
            check_valid(labels.frames, labels.valid, str(valid))
            split = Split(labels.frames, labels.valid, f"the file {valid.name}")
        helper = helper_for(assistant, student, start, split, labels.teacher, out, config, resume)
        settings = {
            "size": size,
            "start": start,
            "data": [path.name for path in labels.files],
            "valid": valid.name if valid else None,
            "geometries": [len(split.train), len(split.valid)],
            "teacher": asdict(labels.teacher),
            "assistant": helper.name if helper else NONE,
        }
        open_folder(out, settings, resume)
        budget = config
        if helper is None:
            train_graphs = graphs_of(split.train, student)
            taught = teacher_of(student.card) if start else None
            if taught in (None, OWN) or taught != labels.teacher.name:
                fit_reference(student, train_graphs)
        else:
            start = start or (SHIPPED if size == SHIPPED else None)
            if not budget_given:
                itself = start is not None and same(helper.name, start)
                steps = fine_tuning(len(split.train))[0] if itself else STEPS[size]
                budget = replace(config, minutes=None, steps=steps)
            helper = replace(helper, config=budget, progress=progress)
            student, train_graphs, config = with_assistant(helper, student, split, start, budget)
        valid_graphs = graphs_of(split.valid, student)
        # a run that was stopped before its first checkpoint starts anew
        resume = resume and (out / "last.ckpt").is_file()
        student = train(
            student, train_graphs, valid_graphs, out, config, resume=resume, progress=progress
        )
        if first_rank():
            student.card = card(labels.teacher, split, budget, start)
            if helper:
                student.card["assistant"] = helper.card()
            finish(student, train_graphs, valid_graphs, split, out / "student.safetensors")
    return student


def helper_for(
    wanted: str,
    student: Student,
    start: str | None,
    split: Split,
    teacher: TeacherRecord,
    out: Path,
    config: TrainConfig,
    resume: bool,
) -> Assistant | None:
    """The assistant that the user wants; with "auto" the one that a run to be resumed has, or where
    labels are few and it can learn them, the shipped one.

    A student that starts from one of the assistant's size, or one that this teacher has taught
    already, is its own assistant: it learns the labels itself.
    """
    if wanted == AUTO and resume:
        wanted = noted(out).get("assistant", AUTO)
    if wanted == NONE:
        return None
    if wanted == AUTO:
        wanted = own_or_shipped(start, student, teacher.name)
        if (
            len(split.train) > FEW
            or config.devices > 1
            or why_not([*split.train, *split.valid], load_student(wanted))
        ):
            return None
    elif config.devices > 1:
        raise DistillError("An --assistant trains on one device; leave out --devices.")
    return Assistant(wanted, split.train, teacher, out / "assistant", config)


def with_assistant(
    helper: Assistant, student: Student, split: Split, start: str | None, config: TrainConfig
) -> tuple[Student, list[Graph], TrainConfig]:
    """The student to be trained, what it shall learn, and how, when an assistant teaches it."""
    if start and same(helper.name, start):  # it is its own
        student, frames = helper.rehearsed(), list(split.train)
        fit_what_is_left(student, frames)
        config = replace(config, learning_rate=FINE_TUNING[1] * config.learning_rate)
    else:
        teaching = helper.taught(split.valid)
        student.reference.copy_(teaching.reference)
        free, dear = helper.lessons(teaching)
        frames = [*free, *dear]
        minutes = helper.minutes_for_student()
        if minutes is not None:
            config = replace(config, minutes=minutes)
    return student, graphs_of(frames, student), config


def noted(out: Path) -> dict[str, Any]:
    """The settings of the run in a folder; a run of an earlier version had no assistant."""
    try:
        found = json.loads((out / "train.json").read_text())
    except (OSError, ValueError):
        return {}
    return {"assistant": NONE, **found} if isinstance(found, dict) else {}


def finish(
    student: Student,
    train_graphs: Sequence[Graph],
    valid_graphs: Sequence[Graph],
    split: Split,
    path: Path,
) -> None:
    """Saves a trained student, and only then judges it, and saves it again with what that gave.

    Raises DistillError when it cannot be saved, or is saved and cannot be judged.
    """
    save_with_uncertainty(student, train_graphs, valid_graphs, path)
    try:
        report = compute_metrics(predict(student, split.valid, progress=False))
    except Exception as error:
        raise DistillError(
            f"The student is in {path}, but could not be judged ({first_line(error)}); look at "
            "`distill evaluate`."
        ) from error
    student.card["held_out"] = {
        "set": split.how,
        "geometries": len(split.valid),
        **{key: report[key] for key in HEADLINE},
    }
    save_student(student, path)


def open_folder(out: Path, settings: dict[str, Any], resume: bool) -> None:
    """Makes the folder and notes the settings, or checks that it holds the run to go on with."""
    if not first_rank():  # a second process of the same training
        return
    file = out / "train.json"
    settings = json.loads(json.dumps(settings))
    if out.exists() and not out.is_dir():
        raise DistillError(f"{out} is a file; give a folder for the student (-o).")
    if resume:
        try:
            found = {"assistant": NONE, **json.loads(file.read_text())}
            different = [key for key in settings if found.get(key) != settings[key]]
        except (OSError, ValueError, AttributeError) as error:
            raise DistillError(
                f"{out} holds no training run to resume; start without --resume."
            ) from error
        if different:
            key = different[0]
            raise DistillError(
                f"The run in {out} has {key} = {found.get(key)}, not {settings[key]}; resume with "
                "the same data and settings, or start in another folder."
            )
        return
    if file.is_file():
        raise DistillError(
            f"{out} holds another training run; use --resume to go on with it, or another folder."
        )
    if out.is_dir() and any(out.iterdir()):
        raise DistillError(f"{out} is not empty; give another folder (-o).")
    with whole_file(file) as place:
        place.write_text(json.dumps(settings, indent=2) + "\n")


def card(
    teacher: TeacherRecord, split: Split, config: TrainConfig, start: str | None
) -> dict[str, Any]:
    """What the student's file says of its making."""
    names = list(dict.fromkeys(frame.name for frame in split.train))
    return {
        "teacher": asdict(teacher),
        "training_set": {
            "molecules": names if len(names) <= 20 else f"{len(names)} molecules",
            "geometries": len(split.train),
            "started_from": start or "random weights",
        },
        "charges": sorted({frame.charge for frame in split.train}),
        "training": {"minutes": config.minutes, "steps": config.steps, "seed": config.seed},
    }


def first_rank() -> bool:
    """Whether this process is the only one of a training, or the first: the one that writes."""
    return int(os.environ.get("LOCAL_RANK", "0")) == int(os.environ.get("NODE_RANK", "0")) == 0
