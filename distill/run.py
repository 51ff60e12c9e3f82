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
from distill.data.sampling import Sampling, not_as_asked
from distill.data.store import gather
from distill.data.student_md import student_md
from distill.errors import DistillError, reason
from distill.evaluate import HEADLINE, evaluate
from distill.lock import sole_user
from distill.student.config import size_config
from distill.student.file import load_student, save_student, student_path
from distill.student.student import Student
from distill.teacher.base import TeacherSpec
from distill.train.config import LEARNING_RATES, TrainConfig, check_seed
from distill.train.finish import save_with_uncertainty
from distill.train.grow import Grow, Growing
from distill.train.train import fit_reference, progress_of, train
from distill.whole import whole_file

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
    with sole_user(out):
        if not (out / "run.json").is_file():
            settings.spec().load()  # a teacher that does not work must not leave a folder behind
        folder = RunFolder(out, settings)
        if folder.finished:
            console.print(f"{out} is complete: see report.json and trajectory.dcd in it.")
            return
        _run(settings, molecule, student, origin, engine, folder, console, workers)


def _run(
    settings: RunSettings,
    molecule: Molecule,
    student: Student,
    origin: str,
    engine: Callable[..., dict[str, Any]],
    folder: "RunFolder",
    console: Console,
    workers: int | None,
) -> None:
    out = folder.path
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
    beware = not_as_asked([(molecule, Sampling())])
    if beware:
        say(beware)
    final = out / "student.safetensors"
    if not final.is_file():
        explore_and_train(settings, molecule, student, origin, folder, clock, say, workers)
    gather_parts(settings, folder)
    if not (out / "dataset.h5").is_file():
        merge_files(label_files(folder), out / "dataset.h5")
    student = load_student(final)
    if student.latent is None:  # stopped right after the training
        data = Growing(lambda: label_files(folder), student)
        data.poll()
        save_with_uncertainty(student, data.train, data.valid, final)

    # still one thread: where another process wants a core, two are thirty times slower than one
    if not (out / "report.json").is_file():
        held_out_check(settings, molecule, student, folder, clock, say, workers)
    report = json.loads((out / "report.json").read_text())
    student.card["held_out"] = {k: report[k] for k in HEADLINE}
    save_student(student, final)  # whatever the MD may come to

    start = first_geometries(molecule, 1, settings.seed)[0]
    left = max(0.02 * clock.budget, MD_END * clock.budget - clock.spent())
    say(f"MD at {settings.temperature:g} K in OpenMM for {left:.0f} s.")
    try:
        with bar("MD", console) as advance:
            report["md"] = engine(
                student, molecule, start, out, temperature=settings.temperature,
                minutes=left / 60.0, seed=settings.seed, on_chunk=advance,
            )  # fmt: skip
    except (DistillError, OSError):
        raise
    except Exception as error:  # OpenMM's own, of coordinates that are not numbers, too
        raise DistillError(
            f"The MD of the student failed ({reason(error)}): {more(final)}"
        ) from error
    report["run"] = {**asdict(settings), "seconds": clock.spent(), "origin": origin}
    write_json(out / "report.json", report)
    folder.mark("done")
    md = report["md"]
    if "broke_up" in md:
        say(md["broke_up"])
    if md.get("frames_unlike_training"):
        say(f"Beware: in {md['frames_unlike_training']} of {md['frames']} frames of the MD an atom "
            "was unlike all that the student has learned.")  # fmt: skip
    rmse, r2 = shown(report["force_rmse"], 4), shown(report["force_r2"], 5)
    say(
        f"Force RMSE {rmse} eV/Å, R2 {r2} on frames not trained on; {md['picoseconds']:.1f} ps of "
        f"MD at {md['ns_per_day']:.2f} ns/day. All in {out}, after {clock.spent() / 60:.1f} min."
    )


def shown(value: float | None, digits: int) -> str:
    """A figure of a report, which may not be defined: one atom has no forces to be told apart."""
    return "n/a" if value is None else f"{value:.{digits}f}"


def more(final: Path) -> str:
    """How a student that has learned too little is trained on."""
    return (
        f"it needs more training. It is saved; `distill run` goes on from it with --from {final}, "
        "a larger --budget and another folder (-o)."
    )


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
) -> None:
    """Labelling and training side by side, until their share of the budget is spent."""
    work = folder.path / "work"
    latest = work / "latest.safetensors"
    same_teacher = student.card.get("teacher", {}).get("name") == settings.teacher
    if same_teacher and not latest.is_file():
        save_student(student, latest)  # good enough to walk with from the first minute
    # one core trains, the others explore
    cores = os.cpu_count() or 1
    count = max(1, min(workers or cores, cores) - 1)
    gather_parts(settings, folder)
    data = Growing(lambda: label_files(folder), student)
    explorers = [
        Explorer(
            molecule, settings.spec(), latest, work / f"labels-{k}.h5", settings.seed + k,
            given=k == 0,
        )
        for k in range(count)
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


def label_files(folder: "RunFolder") -> list[Path]:
    """What all explorers have labelled, those of an earlier start with more --workers, too."""
    return sorted((folder.path / "work").glob("labels-*.h5"))


def gather_parts(settings: RunSettings, folder: "RunFolder") -> None:
    """What explorers that were killed had labelled of a batch."""
    for parts in sorted((folder.path / "work").glob("labels-*.h5.parts")):
        gather(parts.with_suffix(""), settings.spec())


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
            masses=molecule.masses,
        )  # fmt: skip
        frames = [frame for replica in taken for frame in replica]
        if not frames:
            final = folder.path / "student.safetensors"
            raise DistillError(f"The student's MD came apart at once: {more(final)}")
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
    with whole_file(path) as place:
        np.savez(
            place,
            positions=np.array([f.positions for f in frames]),
            temperature=np.array([f.temperature for f in frames]),
            source=np.array([f.source for f in frames]),
        )


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
    return merge_files([path for e in explorers for path in e.files()], path)


def merge_files(files: list[Path], path: Path) -> TeacherRecord:
    """The labels of several files in one, made anew; returns what it says of the teacher."""
    record = teacher_of(files)
    path.unlink(missing_ok=True)  # of a run stopped right here: write() would add to it
    opened = [Dataset.open(file) for file in files]
    try:
        write(path, record, (molecule for dataset in opened for molecule in dataset))
    finally:
        for dataset in opened:
            dataset.close()
    return record


def teacher_of(files: list[Path]) -> TeacherRecord:
    """Who labelled."""
    with Dataset.open(files[0]) as dataset:
        return dataset.teacher


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
        elif path.is_dir() and not self.just_begun():
            raise DistillError(f"{path} is not empty and holds no run; give another -o.")
        else:
            (path / "work").mkdir(parents=True, exist_ok=True)
            self.state = {"settings": wanted, "seconds": 0.0}
            self.write()

    def just_begun(self) -> bool:
        """Whether the folder holds nothing, or what a run leaves that was killed at its start."""
        found = {path.name for path in self.path.iterdir()} - {f".{self.file.name}"}
        work = self.path / "work"
        return found <= {"work"} and not (work.is_dir() and any(work.iterdir()))

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
    with whole_file(path) as place:
        place.write_text(json.dumps(value, indent=2) + "\n")
