"""From a molecule to MD: what ``distill run`` does.

One process trains; beside it explorers walk with the student as it stands and have the teacher
label what they see (``distill.data.explore``). So both sides of active learning use all of the
time, and the student is right where its own dynamics goes. Then: a check on frames from MD of the
finished student that were never trained on, and MD in OpenMM.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from distill.data.dataset import Dataset, TeacherRecord, write
from distill.data.explore import Explorer, Explorers, first_geometries
from distill.data.label import label
from distill.data.molecules import Molecule, read_molecules
from distill.data.student_md import student_md
from distill.errors import DistillError
from distill.evaluate import HEADLINE, evaluate
from distill.student.config import size_config
from distill.student.file import load_student, save_student, student_path
from distill.student.student import Student
from distill.teacher.base import TeacherSpec
from distill.train.config import LEARNING_RATES, TrainConfig, check_seed
from distill.train.finish import save_with_uncertainty
from distill.train.grow import Grow, Growing
from distill.train.train import fit_reference, progress_of, train

# shares of the budget at which each part ends
TRAIN_END, MD_END = 0.85, 0.97
ENOUGH_TO_START = 40
CHECK_TEMPERATURES = (300.0, 500.0)


@dataclass(frozen=True)
class RunSettings:
    """What a run folder holds; the same settings again mean: go on."""

    source: str
    size: str = "tiny"
    minutes: float = 10.0
    teacher: str = "gfn2-xtb"
    weights: str = ""
    teacher_options: tuple[tuple[str, str], ...] = ()
    start: str = "auto"
    seed: int = 0
    temperature: float = 300.0
    charge: int | None = None
    spin: int | None = None
    largest_fragment: bool = False

    def __post_init__(self) -> None:
        size_config(self.size)
        if not 0 < self.minutes < math.inf:
            raise DistillError(f"The budget is {self.minutes:g} minutes; it must be positive.")
        check_seed(self.seed)
        if not 0 < self.temperature < math.inf:
            raise DistillError(f"The temperature is {self.temperature:g} K; it must be above 0 K.")

    def spec(self) -> TeacherSpec:
        weights = Path(self.weights) if self.weights else None
        return TeacherSpec(self.teacher, weights, dict(self.teacher_options))


def run(settings: RunSettings, out: Path, *, console: Console, workers: int | None = None) -> None:
    """Everything, into the folder ``out``; after a stop the same call goes on where it was."""
    molecules = read_molecules(
        settings.source,
        charge=settings.charge,
        spin=settings.spin,
        largest_fragment=settings.largest_fragment,
    )
    if len(molecules) != 1:
        raise DistillError(
            f"{settings.source} holds {len(molecules)} molecules; `distill run` takes one. For a "
            "set use `distill label`, then `distill train`."
        )
    molecule = molecules[0]
    engine = md_engine()
    student, origin = starting_student(settings)
    student.check_elements(molecule.numbers)
    if not (out / "run.json").is_file():
        settings.spec().load()  # a teacher that does not work must not leave a folder behind
    folder = RunFolder(out, settings)
    if folder.finished:
        console.print(f"{out} is complete: see report.json and trajectory.dcd in it.")
        return
    clock = Clock(folder, 60.0 * settings.minutes)
    say = folder.logger(console)
    say(
        f"{molecule.name}: {len(molecule)} atoms, charge {molecule.charge}; teacher "
        f"{settings.teacher}, student {settings.size}, budget {settings.minutes:g} min."
    )
    for note in molecule.notes:
        say(note)

    torch.set_num_threads(1)
    say(f"The student starts from {origin}.")
    if not (out / "student.safetensors").is_file():
        student = explore_and_train(
            settings, molecule, student, origin, folder, clock, say, workers
        )
    student = load_student(out / "student.safetensors")

    # still one thread: where another process wants a core, two are thirty times slower than one
    if not (out / "report.json").is_file():
        held_out_check(settings, molecule, student, folder, clock, say, workers)
    report = json.loads((out / "report.json").read_text())

    start = first_geometries(molecule, 1, settings.seed)[0]
    left = max(0.02 * clock.budget, MD_END * clock.budget - clock.spent())
    say(f"MD at {settings.temperature:g} K in OpenMM for {left:.0f} s.")
    with bar("MD", console) as advance:
        report["md"] = engine(
            student, molecule, start, out, temperature=settings.temperature,
            minutes=left / 60.0, seed=settings.seed, on_chunk=advance,
        )  # fmt: skip
    report["run"] = {**asdict(settings), "seconds": clock.spent(), "origin": origin}
    write_json(out / "report.json", report)
    student.card["held_out"] = {k: report[k] for k in HEADLINE}
    save_student(student, out / "student.safetensors")
    folder.mark("done")
    md = report["md"]
    if "broke_up" in md:
        say(md["broke_up"])
    if md.get("frames_unlike_training"):
        say(f"Beware: in {md['frames_unlike_training']} of {md['frames']} frames of the MD an atom "
            "was unlike all that the student has learned.")  # fmt: skip
    say(f"Force RMSE {report['force_rmse']:.4f} eV/Å, R2 {report['force_r2']:.5f} on frames not "
        f"trained on; {md['picoseconds']:.1f} ps of MD at {md['ns_per_day']:.2f} ns/day. "
        f"All in {out}, after {clock.spent() / 60:.1f} min.")  # fmt: skip


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


def explore_and_train(
    settings: RunSettings,
    molecule: Molecule,
    student: Student,
    origin: str,
    folder: "RunFolder",
    clock: "Clock",
    say: Callable[[str], None],
    workers: int | None,
) -> Student:
    """Labelling and training side by side, until their share of the budget is spent."""
    work = folder.path / "work"
    latest = work / "latest.safetensors"
    same_teacher = student.card.get("teacher", {}).get("name") == settings.teacher
    if same_teacher and not latest.is_file():
        save_student(student, latest)  # good enough to walk with from the first minute
    # one core trains, the others explore
    count = max(1, (workers or os.cpu_count() or 1) - 1)
    explorers = [
        Explorer(molecule, settings.spec(), latest, work / f"labels-{k}.h5", settings.seed + k)
        for k in range(count)
    ]
    data = Growing(lambda: [path for e in explorers for path in e.files()], student)
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
    record = merge(explorers, folder.path / "dataset.h5")
    frames = len(data)
    say(f"Trained on {frames} labelled geometries.")
    student.card = {
        "teacher": asdict(record),
        "training_set": {
            "molecules": [molecule.smiles or molecule.name],
            "geometries": frames,
            "started_from": origin,
        },
        "charges": [molecule.charge],
        "held_out": {},
    }
    save_with_uncertainty(student, data.train, data.valid, folder.path / "student.safetensors")
    return student


def held_out_check(
    settings: RunSettings,
    molecule: Molecule,
    student: Student,
    folder: "RunFolder",
    clock: "Clock",
    say: Callable[[str], None],
    workers: int | None,
) -> None:
    """Labels frames of the finished student's own MD, from conformers of their own."""
    say("Checking on frames of the student's own MD that were not trained on.")
    frames_file = folder.path / "work" / "check.npz"
    if not frames_file.is_file():
        replicas = 8
        starts = first_geometries(molecule, replicas, settings.seed + 7919)
        temperatures = [CHECK_TEMPERATURES[k % 2] for k in range(replicas)]
        taken = student_md(
            student, molecule.numbers, starts, temperatures,
            frames=6, steps_between=40, equilibration=100, seed=settings.seed + 7919,
        )  # fmt: skip
        frames = [frame for replica in taken for frame in replica]
        if not frames:
            raise DistillError(
                "The student's MD came apart at once: it needs more training; raise --budget."
            )
        save_frames(frames_file, frames)
    frames = load_frames(frames_file)
    label(
        [(molecule, frames[k::4]) for k in range(4) if frames[k::4]],
        settings.spec(),
        folder.path / "test.h5",
        workers=workers,
        progress=False,
    )
    # a stop while it was being written may have left half a report
    evaluate(
        student, folder.path / "test.h5", folder.path,
        name=molecule.name, overwrite=True, progress=False,
    )  # fmt: skip


def save_frames(path: Path, frames: list[Any]) -> None:
    """Frames as one npz, whole or not at all."""
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as file:
        np.savez(
            file,
            positions=np.array([f.positions for f in frames]),
            temperature=np.array([f.temperature for f in frames]),
            source=np.array([f.source for f in frames]),
        )
    os.replace(temporary, path)


def load_frames(path: Path) -> list[Any]:
    """Inverse of :func:`save_frames`."""
    from distill.data.sampling import Frame

    with np.load(path) as stored:
        return [
            Frame(p, str(s), float(t))
            for p, s, t in zip(stored["positions"], stored["source"], stored["temperature"])
        ]


def merge(explorers: list[Explorer], path: Path) -> TeacherRecord:
    """All explorers' labels in one dataset file; returns what it says of the teacher."""
    opened = [Dataset.open(path) for e in explorers for path in e.files()]
    try:
        record = opened[0].teacher
        path.unlink(missing_ok=True)  # of a run stopped right here: write() would add to it
        write(path, record, (molecule for dataset in opened for molecule in dataset))
    finally:
        for dataset in opened:
            dataset.close()
    return record


def md_engine() -> Callable[..., dict[str, Any]]:
    """The MD engine that a plugin has registered; found first, so that nothing is lost later."""
    for entry in entry_points(group="distill.engines", name="openmm"):
        try:
            found: Callable[..., dict[str, Any]] = entry.load()
        except ImportError as error:
            raise DistillError(
                f"`distill run` ends with MD in OpenMM, which cannot be imported ({error}); "
                "`pip install 'mlff-distiller[openmm]'`."
            ) from error
        return found
    raise DistillError(
        "The OpenMM plugin is not installed; `pip install 'mlff-distiller[openmm]'`."
    )


class RunFolder:
    """The output folder and its settings file; refuses a folder that holds something else."""

    def __init__(self, path: Path, settings: RunSettings):
        self.path = path
        self.file = path / "run.json"
        wanted = json.loads(json.dumps(asdict(settings)))
        if path.exists() and not path.is_dir():
            raise DistillError(f"{path} is a file; give a folder for the results (-o).")
        if self.file.is_file():
            try:
                self.state = json.loads(self.file.read_text())
                found = self.state["settings"]
            except (ValueError, KeyError, TypeError) as error:
                raise DistillError(
                    f"{self.file} is not ours or damaged; give another -o."
                ) from error
            different = [k for k in wanted if found.get(k) != wanted[k]]
            if different:
                key = different[0]
                raise DistillError(
                    f"{path} holds another run ({key} is {found.get(key)!r} there, "
                    f"{wanted[key]!r} here); give another -o, or the same settings to go on."
                )
        elif path.is_dir() and any(path.iterdir()):
            raise DistillError(f"{path} is not empty and holds no run; give another -o.")
        else:
            (path / "work").mkdir(parents=True)
            self.state = {"settings": wanted, "seconds": 0.0}
            self.write()

    @property
    def finished(self) -> bool:
        return bool(self.state.get("done"))

    def mark(self, stage: str) -> None:
        self.state[stage] = True
        self.write()

    def write(self) -> None:
        write_json(self.file, self.state)

    def logger(self, console: Console) -> Callable[[str], None]:
        """Prints a line, and adds it to run.log with the time."""

        def say(text: str) -> None:
            console.print(text, highlight=False)
            with (self.path / "run.log").open("a") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")

        return say


class Clock:
    """Seconds spent on a run, over all its starts."""

    def __init__(self, folder: RunFolder, budget: float):
        self.folder = folder
        self.budget = budget
        self.before = float(folder.state.get("seconds", 0.0))
        self.started = time.monotonic()

    def spent(self) -> float:
        seconds = self.before + time.monotonic() - self.started
        self.folder.state["seconds"] = seconds
        self.folder.write()
        return seconds


@contextmanager
def bar(title: str, console: Console) -> Iterator[Callable[[float], None]]:
    """A progress bar from 0 to 1."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=1.0)
        yield lambda share: progress.update(task, completed=share)


def write_json(path: Path, value: Any) -> None:
    """A JSON file, whole or not at all."""
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(json.dumps(value, indent=2) + "\n")
    os.replace(temporary, path)
