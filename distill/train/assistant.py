"""A teacher assistant: a large student learns a few dear labels, then teaches a small one for free.

With a hundred labels of a molecule a small network is worse than one that knows many molecules and
has been nudged by them. So the shipped `original` is fine-tuned on the labels, gently, and labels
as many geometries as the small student needs (S. I. Mirzadeh, M. Farajtabar, A. Li, N. Levine,
A. Matsukawa, H. Ghasemzadeh, *Improved knowledge distillation via teacher assistant*, AAAI 34, 5191
(2020)). Before that it rehearses: it learns the molecule from GFN2-xTB, which costs milliseconds a
label, so that only the difference is left to learn from the dear teacher. How good that is, by the
number of labels: docs/few_labels.md.
"""

import shutil
from collections.abc import Iterator, Sequence
from copy import copy
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
from distill.student.config import SIZES
from distill.student.file import load_student, save_student
from distill.student.student import Student
from distill.teacher.base import TeacherSpec
from distill.teacher.worth import teacher_of
from distill.train.config import LEARNING_RATES, TrainConfig
from distill.train.free_geometries import free_geometries, load_frames, save_frames
from distill.train.graphs import graphs_of
from distill.train.hold_out import molecule_of
from distill.train.progress import tell
from distill.train.train import fit_reference, train

AUTO, NONE = "auto", "none"
SHIPPED = "original"
WALKER = "tiny"
"""The shipped student whose MD makes the free geometries."""
CHEAP = TeacherSpec("gfn2-xtb")
FEW = 1000
"""Labels: where there are more, those alone teach the student."""
GEOMETRIES, GEOMETRIES_OF_ALL = 1500, 3000
"""Free geometries, at most: of one molecule, and of all together."""
FREE_ATOMS = 100_000
"""In all free geometries of a molecule, at most: half a minute of MD."""
CHEAP_LABELS, CHEAP_COST = 1000, 1.25e6
"""Geometries of a molecule that the cheap teacher labels, at most; and that number times the square
of the number of atoms: half a minute's worth."""
REHEARSAL = (800, 0.3, 0.15)
"""Steps of the rehearsal at most, the part of the usual learning rate, and that of a budget in
minutes."""
STEPS_A_CHEAP_LABEL = 8
"""Of the rehearsal, at most."""
FINE_TUNING = (800, 0.1, 0.14)
"""The same for 20 to 80 dear labels. At the whole rate, 25 labels made a student worse than none;
with 200 steps instead of 400 and 1,200, an assistant of 25 DFT labels of ethanol was 0.040 instead
of 0.029 and 0.028 eV/Å off."""
STEPS_A_LABEL, MOST_STEPS = (40, 10), 1000
"""Of the fine-tuning: steps a label where there are fewer than 20, and where there are more than
80; and the most."""
LONGEST = 2.0
"""Minutes of the rehearsal and of the fine-tuning, however large the budget is."""
OVERHEAD = 0.15
"""The part of a budget in minutes that free geometries and their labels take."""
STEPS = {"original": 1000, "tiny": 5000, "ultra-tiny": 14000}
"""Of the student, where no budget is given: a minute or two on one core."""
SHORT, SHORT_MINUTES = 1000, 5.0
"""A student's budget in steps or minutes: with less, all that the assistant does is less, too."""
REAL = 4
"""Times that each dear label counts among the free ones."""
WILDEST = 30.0
"""eV/Å: where the assistant says more than that, it knows nothing."""

Part = tuple[int, float, float]


def own_or_shipped(start: str | None, student: Student, teacher: str) -> str:
    """Who learns the labels of ``teacher`` when nobody is named: the shipped `original`, or
    ``start``, which ``student`` was read from, where that is the user's own and of that size, or
    taught by this teacher already. It is its own assistant then."""
    if start in (None, AUTO, "random", *SIZES):
        return SHIPPED
    fit = student.config.size == SHIPPED or teacher_of(student.card) == teacher
    return start if start and fit else SHIPPED


def why_not(frames: Sequence[LabelledFrame], student: Student) -> str:
    """Why ``student`` cannot be an assistant for these labels; "" where it can."""
    if any(frame.cell is not None for frame in frames):
        return "an assistant knows no periodic cell"
    if not by_molecule(frames):
        return "lone atoms have one geometry each"
    try:
        student.check_elements(np.unique(np.concatenate([frame.numbers for frame in frames])))
    except DistillError as error:
        return str(error)
    return ""


def fine_tuning(labels: int) -> Part:
    """FINE_TUNING on so many labels."""
    steps, rate, share = FINE_TUNING
    few, many = STEPS_A_LABEL
    wanted = min(MOST_STEPS, max(min(steps, few * labels), many * labels))
    return wanted, rate, share * wanted / steps


def rehearsal(labels: int) -> Part:
    """REHEARSAL on so many cheap labels."""
    steps, rate, share = REHEARSAL
    wanted = min(steps, STEPS_A_CHEAP_LABEL * labels)
    return wanted, rate, share * wanted / steps


def gently(config: TrainConfig, size: str, part: Part) -> TrainConfig:
    """Settings of a part for an assistant of a size, otherwise as in ``config``, the student's.

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
    where there are none, the labelled ones. Raises DistillError for labels that an assistant cannot
    learn.
    """

    name: str
    frames: Sequence[LabelledFrame]
    teacher: TeacherRecord
    out: Path
    config: TrainConfig
    progress: bool = True
    starts: Sequence[LabelledFrame] = ()

    def __post_init__(self) -> None:
        problem = why_not(self.frames, load_student(self.name))
        if problem:
            raise DistillError(f"{problem.rstrip('.')}; use --assistant none.")

    @property
    def size(self) -> str:
        return load_student(self.name).config.size

    def rehearsed(self) -> Student:
        """The assistant, which knows the molecules from the cheap teacher where it can."""
        student = load_student(self.name)
        done, labels = self.out / "rehearsed.safetensors", self.out / "labels.npz"
        if self.name != SHIPPED or self.teacher.name == CHEAP.name:
            return student
        if done.is_file():
            return load_student(str(done))
        if not labels.is_file():
            save_frames(cheap_labels(self.geometries(), part_of_all(self.config)), labels)
        found = load_frames(labels)
        if not found:
            return student
        tell(f"The assistant {self.name} rehearses with {len(found)} labels of {CHEAP.name}.")
        part = rehearsal(len(found))
        student = fitted(student, found, [], self.out, part, self.config, self.progress)
        save_student(student, done)
        return student

    def taught(self, valid: Sequence[LabelledFrame] = ()) -> Student:
        """The assistant that has learned the dear labels; its card says how far it is off."""
        done = self.out / "student.safetensors"
        if done.is_file():
            student = load_student(str(done))
            if student.card["training_set"]["geometries"] == len(self.frames):
                return student
        student = self.rehearsed()
        tell(f"The assistant {self.name} learns {len(self.frames)} labels.")
        part = fine_tuning(len(self.frames))
        student = fitted(student, self.frames, valid, self.out, part, self.config, self.progress)
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

    def lessons(self, student: Student) -> tuple[list[LabelledFrame], list[LabelledFrame]]:
        """Free geometries with the taught assistant's labels, and the dear ones, for a student to
        learn; the same again after a stop."""
        free, dear = self.out / "lessons.npz", self.out / "dear.npz"
        if not free.is_file():
            save_frames(self.frames, dear)
            save_frames(list(labelled_by(student, self.geometries())), free)
        return load_frames(free), REAL * load_frames(dear)

    def minutes_for_student(self) -> float | None:
        """What a budget in minutes leaves for the student; None where it has steps."""
        if self.config.minutes is None:
            return None
        parts = [fine_tuning(len(self.frames))]
        if (self.out / "rehearsed.safetensors").is_file():
            parts.append(REHEARSAL)
        used = sum(gently(self.config, self.size, part).minutes or 0.0 for part in parts)
        return max(0.3 * self.config.minutes, (1.0 - OVERHEAD) * self.config.minutes - used)

    def card(self) -> dict[str, Any]:
        """What a student's card says of its assistant: ``labels`` it has learned, its errors on
        those held out."""
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
            walker = load_student(WALKER)
            if why_not(self.frames, walker):
                walker = load_student(self.name)
            found = []
            for k, own in enumerate(molecules):
                each = min(
                    GEOMETRIES,
                    GEOMETRIES_OF_ALL // len(molecules),
                    FREE_ATOMS // len(own[0].numbers),
                )
                each = max(4, round(part_of_all(self.config) * each))
                found += free_geometries(walker, own, each, self.config.seed + k)
            save_frames(found, file)
        return load_frames(file)


def by_molecule(frames: Sequence[LabelledFrame]) -> list[list[LabelledFrame]]:
    """The frames of each molecule of two atoms or more, its atoms being in one order."""
    found: dict[tuple[object, ...], list[LabelledFrame]] = {}
    for frame in frames:
        if len(frame.numbers) > 1:
            key = molecule_of(frame), frame.charge, frame.spin, frame.numbers.tobytes()
            found.setdefault(key, []).append(frame)
    return list(found.values())


def cheap_labels(free: Sequence[LabelledFrame], part: float = 1.0) -> list[LabelledFrame]:
    """Some of the geometries with the cheap teacher's labels; none where it is not installed.
    part: of the usual number of them.

    Molecules with unpaired electrons are left out: what they need is not the cheap teacher's word.
    """
    try:
        teacher = CHEAP.load()
    except DistillError:
        return []
    found = []
    for own in by_molecule(free):
        first = own[0]
        if (int(first.numbers.sum()) - first.charge) % 2 or first.spin != 1:
            continue
        most = min(CHEAP_LABELS, CHEAP_COST / len(first.numbers) ** 2)
        # of a set of molecules no more than their share
        count = min(len(own), max(1, round(part * most * len(own) / len(free))))
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
    part: Part,
    config: TrainConfig,
    progress: bool,
) -> Student:
    """Trains ``student`` on frames, gently; in a folder in ``out``, where a stopped call goes on,
    and which goes at the end."""
    config = gently(config, student.config.size, part)
    # other labels, or other settings, begin anew
    folder = out / f"{len(frames)}-labels-{config.steps or 'timed'}-{part[0]}"
    fit_what_is_left(student, frames)
    own, others = graphs_of(frames, student), graphs_of(valid, student)
    resume = (folder / "last.ckpt").is_file()
    student = train(student, own, others, folder, config, resume=resume, progress=progress)
    shutil.rmtree(folder, ignore_errors=True)
    return student


def fit_what_is_left(student: Student, frames: Sequence[LabelledFrame]) -> None:
    """Sets the reference energies so that a student which knows much need not unlearn it: to the
    least-squares fit of what its network leaves of the energies."""
    student.latent = None
    student.reference.zero_()
    left = [
        replace(frame, energy=frame.energy - energy)
        for frame, (energy, _) in zip(frames, answers(student, frames), strict=True)
        if np.isfinite(energy)
    ]
    fit_reference(student, graphs_of(left or frames, student))


def labelled_by(student: Student, frames: Sequence[LabelledFrame]) -> Iterator[LabelledFrame]:
    """Frames with a student's energies and forces, without those where it knows nothing."""
    for frame, (energy, forces) in zip(frames, answers(student, frames), strict=True):
        if np.isfinite(energy) and np.abs(forces).max() < WILDEST:
            yield replace(frame, energy=energy, forces=forces)


def answers(
    student: Student, frames: Sequence[LabelledFrame]
) -> Iterator[tuple[float, np.ndarray]]:
    """A student's energy (eV) and forces (N, 3) (eV/Å) for each frame without a cell; the energy is
    not a number where the student gives none."""
    kernel = KernelStudent(student) if kernels.available() else None
    student = copy(student)
    student.card = {}  # it may have learned no such charge yet
    for frame in frames:
        if kernel is not None:
            found = kernel.evaluate(frame.positions, frame.numbers)
            yield float(found.energies.sum()), np.array(found.forces, dtype=float)
            continue
        try:
            one = predict(student, [frame], progress=False)
        except DistillError:
            yield np.nan, np.full(frame.positions.shape, np.nan)
        else:
            yield float(one.energy_pred[0]), one.forces_pred
