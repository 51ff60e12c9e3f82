"""A teacher assistant: a large student learns a few dear labels, then teaches a small one for free.

With a hundred labels of a molecule a small network is worse than one that knows many molecules and
has been nudged by them. So the shipped `original` is fine-tuned on the labels, gently, and labels
as many geometries as the small student needs (S. I. Mirzadeh, M. Farajtabar, A. Li, N. Levine,
A. Matsukawa, H. Ghasemzadeh, *Improved knowledge distillation via teacher assistant*, AAAI 34, 5191
(2020)). Before that it learns the molecule from GFN2-xTB, which costs milliseconds a label: what is
left to learn from the dear teacher is the difference. How good that is, by the number of labels:
docs/few_labels.md.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from distill import kernels
from distill.data.dataset import TeacherRecord
from distill.errors import DistillError
from distill.evaluate.frames import LabelledFrame
from distill.evaluate.metrics import HEADLINE, compute_metrics
from distill.evaluate.predict import predict
from distill.kernels import KernelStudent
from distill.student.file import load_student, save_student
from distill.student.student import Student
from distill.teacher.base import TeacherSpec
from distill.train.config import LEARNING_RATES, TrainConfig
from distill.train.free_geometries import free_geometries, load_frames, save_frames
from distill.train.graphs import graphs_of
from distill.train.hold_out import molecule_of
from distill.train.progress import tell
from distill.train.train import fit_reference, train

SHIPPED = "original"
WALKER = "tiny"
"""The shipped student whose MD makes the free geometries."""
CHEAP = TeacherSpec("gfn2-xtb")
FEW = 1000
"""Labels: with more, those alone teach a small student as well (docs/few_labels.md)."""
GEOMETRIES = 1500
"""Free ones for one molecule; for several ..."""
GEOMETRIES_OF_ALL = 3000
"""... so many for all of them together."""
CHEAP_ATOMS = 25_000
"""In all the geometries of a molecule that the cheap teacher labels, half a minute's worth; ..."""
CHEAP_LABELS = (100, 1000)
"""... and no fewer and no more geometries than this."""
REHEARSAL = (800, 0.3, 0.15)
"""Steps on the cheap labels, the part of the usual learning rate, and that of a budget in minutes;
then ..."""
FINE_TUNING = (400, 0.1, 0.07)
"""... on ten to forty dear ones: at the whole rate, 25 labels made a student worse than none. Fewer
labels want fewer steps, more labels more, up to ..."""
STEPS_A_LABEL, MOST_STEPS = (40, 10), 1000
"""... this: so many steps a label at first, and at last."""
LONGEST = 2.0
"""Minutes for each of the two, however large the budget is."""
STEPS = {"tiny": 5000, "ultra-tiny": 8000}
"""Of the small student, where no budget is given: about a minute on one core."""
SHORT, SHORT_MINUTES = 1000, 5.0
"""A student's budget in steps or minutes: with less, all that the assistant does is less, too."""
REAL = 4
"""Times that each dear label counts among the free ones."""
WILDEST = 30.0
"""eV/Å: where the assistant says more than that, it knows nothing."""


def why_none(frames: Sequence[LabelledFrame]) -> str:
    """Why the labels alone teach the student; "" where an assistant is the better way."""
    if len(frames) > FEW:
        return f"{len(frames)} labels are enough without one"
    if any(frame.cell is not None for frame in frames):
        return "there is none for geometries with a periodic cell"
    if not by_molecule(frames):
        return "a lone atom has one geometry"
    return ""


def fine_tuning(labels: int) -> tuple[int, float, float]:
    """FINE_TUNING on so many labels."""
    steps, rate, share = FINE_TUNING
    few, many = STEPS_A_LABEL
    wanted = min(MOST_STEPS, max(min(steps, few * labels), many * labels))
    return wanted, rate, share * wanted / steps


def gently(config: TrainConfig, size: str, part: tuple[int, float, float]) -> TrainConfig:
    """Settings of a part, as REHEARSAL, for an assistant of a size, otherwise as in ``config``.

    Where that has minutes, the part has its share of them; where it has a few steps only, as a test
    has, the part is as much shorter.
    """
    steps, rate, share = part
    config = replace(
        config, decay=1.0, learning_rate=rate * LEARNING_RATES[size],
        relative_energy_weight=0.0, force_delta=0.0,
    )  # fmt: skip
    if config.minutes is not None:
        return replace(config, minutes=min(share * config.minutes, LONGEST), warm_up_steps=40)
    steps = max(1, round(steps * part_of_all(config)))
    return replace(
        config, steps=steps, warm_up_steps=max(1, steps // 10),
        steps_per_epoch=min(config.steps_per_epoch, steps),
    )  # fmt: skip


def part_of_all(config: TrainConfig) -> float:
    """How much of the usual work a small budget leaves room for, from 0 to 1."""
    if config.minutes is not None:
        return min(1.0, config.minutes / SHORT_MINUTES)
    assert config.steps is not None
    return min(1.0, config.steps / SHORT)


@dataclass(frozen=True)
class Assistant:
    """What one learns and teaches; all of it is kept in the folder ``out``, and taken from there.

    name: of a shipped student, or a student file. frames: the dear labels. config: that of the
    student to be taught, whose seed and device hold here, too; its minutes are for everything
    together. starts: frames, of which only the positions count, that the free geometries begin at;
    where there are none, the labelled ones. rehearses: whether `original` learns from the cheap
    teacher first.
    """

    name: str
    frames: Sequence[LabelledFrame]
    teacher: TeacherRecord
    out: Path
    config: TrainConfig
    progress: bool = True
    starts: Sequence[LabelledFrame] = ()
    rehearses: bool = True

    def __post_init__(self) -> None:
        student = load_student(self.name)
        for frame in self.frames:
            student.check_elements(frame.numbers)

    def rehearsed(self) -> Student:
        """The assistant, which knows the molecules from the cheap teacher where it can."""
        student = load_student(self.name)
        done, labels = self.out / "rehearsed.safetensors", self.out / "labels.npz"
        if not self.rehearses or self.name != SHIPPED or self.teacher.name == CHEAP.name:
            return student
        if done.is_file():
            return load_student(str(done))
        if not labels.is_file():
            found = cheap_labels(self.geometries(), part_of_all(self.config))
            if not found:
                return student
            save_frames(found, labels)
        tell(f"The assistant {self.name} rehearses with {CHEAP.name}.")
        config = gently(self.config, student.config.size, REHEARSAL)
        found = load_frames(labels, self.starts or self.frames)
        student = fitted(student, found, [], self.out / "rehearsal", config, self.progress)
        save_student(student, done)
        return student

    def taught(self, valid: Sequence[LabelledFrame]) -> Student:
        """The assistant that has learned the dear labels; its card says how far it is off."""
        done = self.out / "student.safetensors"
        if done.is_file():
            return load_student(str(done))
        student = self.rehearsed()
        tell(f"The assistant {self.name} learns {len(self.frames)} labels.")
        config = gently(self.config, student.config.size, fine_tuning(len(self.frames)))
        folder = self.out / "fine-tuning"
        student = fitted(student, self.frames, valid, folder, config, self.progress)
        student.card = {
            "teacher": asdict(self.teacher),
            "training_set": {"geometries": len(self.frames), "started_from": self.name},
            "charges": sorted({frame.charge for frame in self.frames}),
        }
        if valid:
            report = compute_metrics(predict(student, valid, progress=False))
            student.card["held_out"] = {key: report[key] for key in HEADLINE}
        save_student(student, done)
        return student

    def lessons(self, student: Student) -> list[LabelledFrame]:
        """Free geometries with the taught assistant's labels, and the dear ones among them."""
        file = self.out / "lessons.npz"
        if not file.is_file():
            save_frames(labelled_by(student, self.geometries()), file)
        return [*load_frames(file, self.starts or self.frames), *(REAL * list(self.frames))]

    def card(self) -> dict[str, Any]:
        """What a student's card says of its assistant."""
        done = self.out / "student.safetensors"
        found = {"started_from": self.name, "labels": len(self.frames)}
        if done.is_file():  # not where the student has learned the labels itself
            found |= load_student(str(done)).card.get("held_out", {})
        return found

    def geometries(self) -> list[LabelledFrame]:
        """Free geometries of all molecules, without labels."""
        file = self.out / "geometries.npz"
        if not file.is_file():
            molecules = by_molecule(self.starts or self.frames)
            each = min(GEOMETRIES, GEOMETRIES_OF_ALL // len(molecules))
            each = max(4, round(part_of_all(self.config) * each))
            walker = load_student(WALKER)
            found = [
                frame
                for k, own in enumerate(molecules)
                for frame in free_geometries(walker, own, each, self.config.seed + k)
            ]
            save_frames(found, file)
        return load_frames(file, self.starts or self.frames)


def by_molecule(frames: Sequence[LabelledFrame]) -> list[list[LabelledFrame]]:
    """The frames of each molecule of two atoms or more."""
    found: dict[str, list[LabelledFrame]] = {}
    for frame in frames:
        if len(frame.numbers) > 1:
            found.setdefault(molecule_of(frame), []).append(frame)
    return list(found.values())


def cheap_labels(free: Sequence[LabelledFrame], part: float = 1.0) -> list[LabelledFrame]:
    """Some of the geometries with the cheap teacher's labels; none where it is not installed.
    part: of the usual number of them.

    A molecule with an unpaired electron has none: labels do not say its multiplicity.
    """
    try:
        teacher = CHEAP.load()
    except DistillError:
        return []
    found = []
    for own in by_molecule(free):
        first = own[0]
        if (int(first.numbers.sum()) - first.charge) % 2:
            continue
        count = int(np.clip(CHEAP_ATOMS // len(first.numbers), *CHEAP_LABELS))
        # of a set of molecules no more than their share
        count = min(len(own), max(1, round(part * count * len(own) / len(free))))
        own = [own[k] for k in np.linspace(0, len(own) - 1, count).astype(int)]
        info = {"charge": first.charge, "spin": 1}
        labels = teacher.label([Atoms(f.numbers, f.positions, info=info) for f in own])
        found += [
            replace(frame, energy=label.energy, forces=label.forces)
            for frame, label in zip(own, labels, strict=True)
            if label.error is None and np.abs(label.forces).max() < WILDEST
        ]
    return found


def fitted(
    student: Student,
    frames: Sequence[LabelledFrame],
    valid: Sequence[LabelledFrame],
    out: Path,
    config: TrainConfig,
    progress: bool,
) -> Student:
    """Trains ``student`` on frames, in the folder ``out``; goes on where a stopped call was."""
    own, others = graphs_of(frames, student), graphs_of(valid, student)
    fit_reference(student, own)
    resume = (out / "last.ckpt").is_file()
    return train(student, own, others, out, config, resume=resume, progress=progress)


def labelled_by(student: Student, frames: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """Frames with a student's energies and forces, without those where it knows nothing."""
    if not kernels.available():
        found = predict(student, frames, progress=False)
        forces = np.split(found.forces_pred, np.cumsum(found.n_atoms)[:-1])
        answers = list(zip(found.energy_pred, forces, strict=True))
    else:
        kernel = KernelStudent(student)
        answers = []
        for frame in frames:
            answer = kernel.evaluate(frame.positions, frame.numbers)
            answers.append((answer.energies.sum(), answer.forces))
    return [
        replace(frame, energy=float(energy), forces=np.asarray(force, dtype=float))
        for frame, (energy, force) in zip(frames, answers, strict=True)
        if np.isfinite(energy) and np.abs(force).max() < WILDEST
    ]
