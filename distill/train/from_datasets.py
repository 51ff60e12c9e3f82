"""From dataset files to a student file: what ``distill train`` does."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distill.data.dataset import Dataset, TeacherRecord
from distill.errors import DistillError
from distill.evaluate.frames import LabelledFrame, read_frames
from distill.evaluate.metrics import HEADLINE, compute_metrics
from distill.evaluate.predict import predict
from distill.student.file import load_student, save_student
from distill.student.student import Student
from distill.train.config import TrainConfig
from distill.train.graphs import Graph
from distill.train.latent import fit_latent
from distill.train.train import fit_reference, train

HELD_OUT = 0.1


@dataclass(frozen=True)
class Split:
    """Frames to train on and to validate on, and how they were told apart."""

    train: list[LabelledFrame]
    valid: list[LabelledFrame]
    how: str


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
) -> Student:
    """Trains a student of a named size, or ``start``, into the folder ``out``.

    ``out`` receives student.safetensors with its card, metrics.csv and curve.png. Without a
    ``valid`` file a tenth of the molecules (of the geometries, when there is one molecule) is held
    out by the seed. Raises DistillError, and writes nothing, when the datasets have different
    teachers, the student does not know an element, or ``out`` holds anything (with ``resume``:
    when it holds no run with these settings).
    """
    teacher = common_teacher([*data, *([valid] if valid else [])])
    student = load_student(start) if start else Student.untrained(size, config.seed)
    if start and student.config.size != size:
        raise DistillError(f"{start} has size {student.config.size}, not {size}; leave out --size.")
    frames = [frame for path in data for frame in read_frames(path)]
    check_names(frames)
    split = (
        Split(frames, read_frames(valid), f"the file {valid.name}")
        if valid
        else hold_out(frames, config.seed)
    )
    for frame in [*split.train, *split.valid]:
        student.check_elements(frame.numbers)
    settings = {
        "size": size,
        "start": start,
        "data": [path.name for path in data],
        "valid": valid.name if valid else None,
        "geometries": [len(split.train), len(split.valid)],
        "teacher": asdict(teacher),
    }
    open_folder(out, settings, resume)

    train_graphs, valid_graphs = (graphs(part, student) for part in (split.train, split.valid))
    if not start or student.card.get("teacher", {}).get("name") != teacher.name:
        fit_reference(student, train_graphs)
    # a run that was stopped before its first checkpoint starts anew
    resume = resume and (out / "last.ckpt").is_file()
    student = train(
        student, train_graphs, valid_graphs, out, config, resume=resume, progress=progress
    )
    if first_rank():
        student.card = card(teacher, split, config, start)
        report = compute_metrics(predict(student, split.valid, progress=False))
        student.card["held_out"] = {
            "set": split.how,
            "geometries": len(split.valid),
            **{key: report[key] for key in HEADLINE},
        }
        student.latent = fit_latent(student, train_graphs, valid_graphs)
        save_student(student, out / "student.safetensors")
    return student


def common_teacher(paths: Sequence[Path]) -> TeacherRecord:
    """The teacher of all the datasets; DistillError when there are two."""
    records = []
    for path in paths:
        with Dataset.open(path) as dataset:
            records.append(dataset.teacher)
        if records[-1] != records[0]:
            a, b = (f"{r.name} ({r.version}, {r.settings})" for r in (records[0], records[-1]))
            raise DistillError(
                f"{paths[0]} was labelled by {a} and {path} by {b}: energies of two teachers do "
                "not go together; train on the data of one."
            )
    return records[0]


def check_names(frames: Sequence[LabelledFrame]) -> None:
    """A name must stand for one molecule in all files: it decides what is held out."""
    seen: dict[str, np.ndarray] = {}
    for frame in frames:
        if not np.array_equal(seen.setdefault(frame.name, frame.numbers), frame.numbers):
            raise DistillError(
                f"The datasets have two different molecules named '{frame.name}'; rename one."
            )


def hold_out(frames: Sequence[LabelledFrame], seed: int) -> Split:
    """A tenth of the molecules by the seed, or of the geometries when there is one molecule."""
    rng = np.random.default_rng(seed)
    names = list(dict.fromkeys(frame.name for frame in frames))
    if len(names) > 1:
        count = max(1, round(HELD_OUT * len(names)))
        held = {names[k] for k in rng.permutation(len(names))[:count]}
        keep = [frame.name not in held for frame in frames]
        how = f"{count} of {len(names)} molecules, held out"
    else:
        if len(frames) < 2:
            raise DistillError("One labelled geometry is too few to train on; label more.")
        count = max(1, round(HELD_OUT * len(frames)))
        chosen = set(rng.permutation(len(frames))[:count].tolist())
        keep = [k not in chosen for k in range(len(frames))]
        how = f"{count} of {len(frames)} geometries, held out"
    return Split(
        [frame for frame, yes in zip(frames, keep) if yes],
        [frame for frame, yes in zip(frames, keep) if not yes],
        how,
    )


def graphs(frames: Sequence[LabelledFrame], student: Student) -> list[Graph]:
    """The frames with edges for this student."""
    return [
        Graph.build(f.numbers, f.positions, f.energy, f.forces, student.cutoff, molecule=f.name)
        for f in frames
    ]


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
            found = json.loads(file.read_text())
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
    out.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(settings, indent=2) + "\n")


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
