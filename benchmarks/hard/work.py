"""Three commands that take a while, and what must be true of what they leave."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distill import load_student
from distill.data.dataset import Dataset
from distill.errors import DistillError
from hard.programs import DISTILL, Done, refusal_problem, run, success_problem

MOLECULES = ("CO", "O", "N", "CC", "C=O", "CCO")
RUN_FILES = {
    "student.safetensors", "dataset.h5", "report.json", "force_analysis.png", "topology.pdb",
    "trajectory.dcd", "md.csv", "run.log",
}  # fmt: skip
Labels = dict[bytes, bytes]
"""Energy and forces by geometry."""


@dataclass(frozen=True)
class Work:
    """A command that is stopped and given again.

    command: its words, for the file or folder that it writes, the second time with True. kept:
    what has been done so far. problem: what is wrong with what it left, given what was kept.
    """

    name: str
    command: Callable[[Path, bool], list[object]]
    out: str
    kept: Callable[[Path], Labels]
    problem: Callable[[Path, Labels], str]

    def go_on(self, folder: Path) -> Done:
        """The same command, after a stop."""
        done = run(self.command(folder / self.out, True), folder)
        never_begun = "holds no training run to resume" in done.err
        if self.name == "train" and never_begun and not refusal_problem(done):
            done = run(self.command(folder / self.out, False), folder)
        return done

    def problem_after(self, folder: Path, before: Labels) -> str:
        """Gives the same command again, and says what is wrong then."""
        done = self.go_on(folder)
        if wrong := success_problem(done):
            return f"the same command: {wrong}"
        return self.problem(folder / self.out, before)


def labels(*paths: Path) -> Labels:
    """All labels of some files, as they stand on the disk; ValueError for two equal geometries."""
    found: Labels = {}
    for path in paths:
        with Dataset.open(path) as dataset:
            for name in dataset.molecules:
                one = dataset[name]
                for x, energy, forces in zip(one.positions, one.energy, one.forces):
                    key = one.numbers.tobytes() + x.tobytes()
                    if key in found:
                        raise ValueError(f"{path} has a geometry of {name} twice")
                    found[key] = energy.tobytes() + forces.tobytes()
    return found


def readable(paths: list[Path]) -> Labels:
    """The same of those that can be read, in a state that a kill has left; doubles are none."""
    found: Labels = {}
    for path in paths:
        try:
            found |= labels(path)
        except DistillError:
            continue
    return found


def parts_and_file(path: Path) -> Labels:
    """Of a labelling run under way: what is in its file and in its parts."""
    return readable([path, *Path(f"{path}.parts").glob("*.h5")])


def label_work(reference: Path | None = None) -> Work:
    """`distill label`; its labels must be those of an undisturbed run, bit for bit."""

    def command(out: Path, again: bool) -> list[object]:
        return [DISTILL, "label", *MOLECULES, "-o", out, "--frames", 24, "--conformers", 1,
                "--workers", 2, "--seed", 1]  # fmt: skip

    def problem(out: Path, before: Labels) -> str:
        try:
            after = labels(out)
        except (ValueError, DistillError) as error:
            return str(error)
        if Path(f"{out}.parts").exists():
            return "the folder of parts is left"
        if before.items() - after.items():
            return f"{len(before.items() - after.items())} of {len(before)} labels are lost"
        if reference is not None and after != labels(reference):
            return "the labels are not those of an undisturbed run"
        return ""

    return Work("label", command, "labels.h5", parts_and_file, problem)


def train_work(data: Path, steps: int, reference: Path | None = None) -> Work:
    """`distill train`, then with --resume; no step is lost that a checkpoint has, none is twice."""

    def command(out: Path, again: bool) -> list[object]:
        return [DISTILL, "train", data, "-o", out, "--size", "ultra-tiny", "--steps", steps,
                "--seed", 3, *(["--resume"] if again else [])]  # fmt: skip

    def kept(out: Path) -> Labels:
        return {}

    def problem(out: Path, before: Labels) -> str:
        try:
            student = load_student(out / "student.safetensors")
            with (out / "metrics.csv").open() as file:
                done = [float(row["step"]) for row in csv.DictReader(file) if row["step"]]
        except (DistillError, OSError, KeyError) as error:
            return str(error)
        if done != sorted(set(done)) or done[-1] != steps:
            return f"metrics.csv has the steps {done}"
        if not (out / "curve.png").is_file():
            return "curve.png is missing"
        if not np.isfinite(student.card["held_out"]["force_rmse"]):
            return "the error is not finite"
        if reference is not None and weights(out) != weights(reference):
            return "the weights are not those of an undisturbed run"
        return ""

    return Work("train", command, "trained", kept, problem)


def run_work(budget: float) -> Work:
    """`distill run`: all files of the contract, no label lost or doubled, none of the test's."""

    def command(out: Path, again: bool) -> list[object]:
        return [DISTILL, "run", "CO", "-o", out, "--size", "ultra-tiny", "--budget", budget,
                "--workers", 2]  # fmt: skip

    def kept(out: Path) -> Labels:
        return readable([*(out / "work").glob("labels-*.h5")])

    return Work("run", command, "methanol", kept, run_problem)


def run_problem(out: Path, before: Labels) -> str:
    """What is wrong with the folder of a finished run."""
    missing = RUN_FILES - {path.name for path in out.iterdir()}
    if missing:
        return f"{', '.join(sorted(missing))} missing"
    try:
        after, checked = labels(out / "dataset.h5"), labels(out / "test.h5")
        student = load_student(out / "student.safetensors")
        report = json.loads((out / "report.json").read_text())
    except (ValueError, DistillError) as error:
        return str(error)
    if before.items() - after.items():
        return f"{len(before.items() - after.items())} of {len(before)} labels are lost"
    if after.keys() & checked.keys():
        return "trained on what it is checked on"
    with (out / "md.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    if not rows or not np.isfinite(np.array(rows, dtype=float)).all():
        return "md.csv is empty or not finite"
    if student.card["held_out"]["force_rmse"] != report["force_rmse"]:
        return "the student's card and the report differ"
    return ""


def weights(out: Path) -> dict[str, bytes]:
    """A student's tensors."""
    student = load_student(out / "student.safetensors")
    return {name: value.numpy().tobytes() for name, value in student.state_dict().items()}


def undisturbed(work: Work, folder: Path) -> tuple[Path, float]:
    """What the command leaves when nothing happens, and how long it takes; made once."""
    note = folder / "seconds.json"
    if not note.is_file():
        done = run(work.command(folder / work.out, False), folder)
        if wrong := success_problem(done) or work.problem(folder / work.out, {}):
            raise RuntimeError(f"{work.name}, undisturbed: {wrong}")
        note.write_text(json.dumps(done.seconds))
    return folder / work.out, json.loads(note.read_text())
