"""The wall clock is set back by an hour while a command works."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from hard.item import Place, Trial, item
from hard.kill import fresh, labelling, running
from hard.programs import DISTILL, Program, load, success_problem
from hard.work import Work, label_work, train_work, undisturbed

SOURCE = Path(__file__).with_name("clock.c")
TRAIN_MINUTES = 0.3


def library(folder: Path) -> Path:
    """Compiles what is loaded before all else."""
    made = folder / "clock.so"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(made), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return made


def set_back(work: Work, seconds: float, place: Place) -> Iterator[Trial]:
    """At a random moment; the command may take three times as long as without, load reckoned."""
    preloaded = library(place.folder)
    for number in range(place.times):
        folder = fresh(place, number)
        program = Program(
            work.command(folder / work.out, False), folder,
            LD_PRELOAD=preloaded, CLOCK_SET_BACK=folder / "back",
        )  # fmt: skip
        time.sleep(place.rng.uniform(0.2, 0.8) * seconds)
        (folder / "back").touch()
        done = program.finish(3 * seconds + 30)
        wrong = success_problem(done) or work.problem(folder / work.out, {})
        yield Trial(wrong, "ended in its time")


RIGHT = "it ends in its time, as if nothing had been"


@item("clock-label", "the clock is set back by an hour in `distill label`", RIGHT, (4, 1))
def clock_label(place: Place) -> Iterator[Trial]:
    """The labels are compared."""
    return set_back(*labelling(place), place)


@item("clock-train", "the same in `distill train --minutes`", RIGHT, (4, 1))
def clock_train(place: Place) -> Iterator[Trial]:
    """A training that ends by its time."""
    data, _ = undisturbed(label_work(), place.folder.parent / "undisturbed-label")

    def command(out: Path, again: bool) -> list[object]:
        return [DISTILL, "train", data, "-o", out, "--size", "ultra-tiny",
                "--minutes", TRAIN_MINUTES]  # fmt: skip

    def problem(out: Path, before: object) -> str:
        return "" if (out / "student.safetensors").is_file() else "there is no student"

    timed = Work("train", command, "trained", train_work(data, 1).kept, problem)
    return set_back(timed, 60 * TRAIN_MINUTES + 20 * load(), place)


@item("clock-run", "the same in `distill run`", RIGHT, (4, 1))
def clock_run(place: Place) -> Iterator[Trial]:
    """All parts share one budget."""
    return set_back(*running(place), place)
