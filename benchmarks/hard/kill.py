"""kill -9 and Ctrl-C at random moments; then the same command."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from hard.item import Place, Trial, item
from hard.programs import TRACEBACK, Done, Program, load
from hard.work import Work, label_work, run_work, train_work, undisturbed

SECONDS_TO_STOP = 10.0
AGAIN = "then the same command: ends with 0, nothing is lost or doubled"
LABELS = "the labels are those of an undisturbed run, bit for bit"
WEIGHTS = "the weights are those of an undisturbed run, bit for bit"


def labelling(place: Place) -> tuple[Work, float]:
    """`distill label`, its labels to compare with, and its seconds."""
    path, seconds = undisturbed(label_work(), place.folder.parent / "undisturbed-label")
    return label_work(path), seconds


def training(place: Place) -> tuple[Work, float]:
    """`distill train` on those labels, its weights to compare with, and its seconds."""
    data, _ = undisturbed(label_work(), place.folder.parent / "undisturbed-label")
    steps = 500 if place.quick else 2000
    folder = place.folder.parent / f"undisturbed-train-{steps}"
    path, seconds = undisturbed(train_work(data, steps), folder)
    return train_work(data, steps, path), seconds


def running(place: Place) -> tuple[Work, float]:
    """`distill run`, all of it, and its seconds."""
    work = run_work(0.2 if place.quick else 0.4)
    _, seconds = undisturbed(work, place.folder.parent / f"undisturbed-run-{place.quick}")
    return work, seconds


def fresh(place: Place, number: int) -> Path:
    """An empty folder for a trial."""
    folder = place.folder / f"{number:03d}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def killed(work: Work, seconds: float, place: Place) -> Iterator[Trial]:
    """kill -9 of the whole group at random moments."""
    for number in range(place.times):
        folder = fresh(place, number)
        program = Program(work.command(folder / work.out, False), folder)
        yield kill_and_go_on(work, program, folder, place.rng.uniform(0.0, seconds))


def kill_and_go_on(work: Work, program: Program, folder: Path, after: float) -> Trial:
    """One trial, ``after`` seconds from now."""
    time.sleep(after)
    ended = not program.runs
    program.kill()
    before = work.kept(folder / work.out)
    when = f"killed after {time.monotonic() - program.started:.1f} s"
    if wrong := work.problem_after(folder, before):
        return Trial(f"{when}: {wrong}")
    return Trial(note="had ended" if ended else "went on")


@item("kill-label", "kill -9 of `distill label`", f"{AGAIN}; {LABELS}", (20, 2))
def kill_label(place: Place) -> Iterator[Trial]:
    """At any moment."""
    return killed(*labelling(place), place)


@item("kill-train", "kill -9 of `distill train`, then --resume", f"{AGAIN}; {WEIGHTS}", (20, 2))
def kill_train(place: Place) -> Iterator[Trial]:
    """At any moment."""
    return killed(*training(place), place)


@item("kill-run", "kill -9 of `distill run`", AGAIN, (20, 1))
def kill_run(place: Place) -> Iterator[Trial]:
    """At any moment."""
    return killed(*running(place), place)


@item("kill-md", "kill -9 of `distill run` in its MD", f"{AGAIN}; the student stays", (20, 1))
def kill_md(place: Place) -> Iterator[Trial]:
    """Each time from a copy of one run that has come to its MD."""
    work, _ = running(place)
    begun = place.folder / "begun"
    shutil.rmtree(begun, ignore_errors=True)
    program = Program(work.command(begun / work.out, False), begun)
    table = begun / work.out / "md.csv"
    came = program.wait_until(table.is_file)
    program.kill()
    if not came:
        yield Trial(f"it ended before its MD: {program.finish().last}")
        return
    table.unlink()
    for number in range(place.times):
        folder = fresh(place, number)
        shutil.copytree(begun, folder, dirs_exist_ok=True)
        program = Program(work.command(folder / work.out, True), folder)
        if not program.wait_until((folder / work.out / "md.csv").is_file):
            yield Trial(f"it ended before its MD: {program.finish().last}")
            continue
        yield kill_and_go_on(work, program, folder, place.rng.uniform(0.0, 3.0))


def interrupted(work: Work, seconds: float, place: Place) -> Iterator[Trial]:
    """Ctrl-C at random moments; every other time a second one half a second later."""
    for number in range(place.times):
        folder = fresh(place, number)
        program = Program(work.command(folder / work.out, False), folder)
        # before that it is Python that starts, and nothing of ours
        time.sleep(place.rng.uniform(0.3 * load(), seconds))
        ended = not program.runs
        twice = number % 2 == 1
        sent = time.monotonic()
        when = f"{'two' if twice else 'one'} after {sent - program.started:.1f} s"
        program.send(signal.SIGINT)
        if twice:
            time.sleep(0.5)
            program.send(signal.SIGINT)
        done = program.finish(60.0)
        took = time.monotonic() - sent
        wrong = stop_problem(done, took, program)
        wrong = wrong or work.problem_after(folder, work.kept(folder / work.out))
        yield Trial(f"{when}: {wrong}" if wrong else "", "had ended" if ended else "went on")


def stop_problem(done: Done, took: float, program: Program) -> str:
    """What is wrong with how it has ended, ``took`` seconds after Ctrl-C."""
    left = program.orphans()
    if done.code is None:
        return f"runs on: {done.last}"
    if left:
        return f"{left} processes are left"
    if TRACEBACK in done.out + done.err:
        return f"traceback: {done.last}"
    if done.code not in (130, 0):  # 0: it was done before the signal came
        return f"code {done.code}: {done.last}"
    if took > SECONDS_TO_STOP * load():
        return f"ended after {took:.0f} s, the load being {os.getloadavg()[0]:.1f}"
    return ""


STOPS = f"code 130 within {SECONDS_TO_STOP:g} s, no traceback, no process is left; {AGAIN}"


@item("stop-label", "Ctrl-C, once and twice, in `distill label`", STOPS, (20, 2))
def stop_label(place: Place) -> Iterator[Trial]:
    """At any moment."""
    return interrupted(*labelling(place), place)


@item("stop-train", "Ctrl-C, once and twice, in `distill train`", STOPS, (20, 2))
def stop_train(place: Place) -> Iterator[Trial]:
    """At any moment."""
    return interrupted(*training(place), place)


@item("stop-run", "Ctrl-C, once and twice, in `distill run`", STOPS, (20, 1))
def stop_run(place: Place) -> Iterator[Trial]:
    """At any moment."""
    return interrupted(*running(place), place)
