"""Folders that cannot be written to, and disks that fill."""

import errno
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hard.item import Place, Trial, item
from hard.kill import fresh, labelling, running, training
from hard.programs import DISTILL, Program, load, refusal_problem, run
from hard.work import Work, label_work, undisturbed

MEGABYTES = 40
"""Of the disk: more than the commands want before they begin."""
SECONDS = 60.0


@contextmanager
def disk(place: Path, megabytes: float = MEGABYTES) -> Iterator[Path]:
    """A disk of its own (tmpfs) at a folder; needs root."""
    place.mkdir(parents=True, exist_ok=True)
    size = f"size={int(megabytes * 1e6)}"
    mount("-t", "tmpfs", "-o", size, "tmpfs", str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def mount(*words: str) -> None:
    """RuntimeError where it is not allowed."""
    said = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if said.returncode:
        raise RuntimeError(f"mounting takes root ({said.stderr.strip()})")


@contextmanager
def read_only(place: Path) -> Iterator[Path]:
    """A disk that nothing can be written to, root or not."""
    with disk(place) as folder:
        mount("-o", "remount,ro", str(folder))
        yield folder


def writers(data: Path, out: Path) -> dict[str, list[object]]:
    """Every command that writes, into a folder."""
    export = [DISTILL, "export", "ultra-tiny", "-o"]
    return {
        "label": [DISTILL, "label", "CO", "-o", out / "x.h5"],
        "train": [DISTILL, "train", data, "-o", out / "x", "--size", "ultra-tiny"],
        "run": [DISTILL, "run", "CO", "-o", out / "x", "--size", "ultra-tiny"],
        "evaluate": [DISTILL, "evaluate", "ultra-tiny", data, "-o", out / "x"],
        "export": [*export, out / "x.pt"],
        "export, onnx": [*export, out / "x.onnx", "--format", "onnx"],
        "export, aoti": [*export, out / "x.pt2", "--format", "aoti"],
        "export, lammps": [*export, out / "x.distill", "--format", "lammps"],
        "quantize": [DISTILL, "quantize", "ultra-tiny", "-o", out / "x.safetensors"],
        "bench": [DISTILL, "bench", "-o", out / "x.json"],
    }


@item(
    "read-only", "every command that writes, into a read-only folder",
    f"code 2 within {SECONDS:g} s, a sentence that names the folder", (1, 1),
)  # fmt: skip
def read_only_folder(place: Place) -> Iterator[Trial]:
    """Those that read labels have some."""
    data, _ = undisturbed(label_work(), place.folder.parent / "undisturbed-label")
    with read_only(place.folder / "fixed") as out:
        for name, words in writers(data, out).items():
            program = Program(words, place.folder)
            done = program.finish(SECONDS)
            wrong = refusal_problem(done, out)
            yield Trial(f"{name}: {wrong}" if wrong else "", "refused")


def fill(folder: Path, leave: int) -> None:
    """Leaves so many bytes."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        while (room := shutil.disk_usage(folder).free - leave) > 0:
            try:
                file.write(bytes(min(room, 1 << 20)))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                break


def filled(work: Work, seconds: float, place: Place) -> Iterator[Trial]:
    """The disk fills at a random moment, up to a few bytes; room is made, the command goes on."""
    for number in range(place.times):
        with disk(fresh(place, number) / "disk") as folder:
            logs = folder.parent
            program = Program(work.command(folder / work.out, False), logs)
            time.sleep(place.rng.uniform(0.2, 0.9) * seconds)
            leave = int(place.rng.choice([0, 1_000, 20_000, 100_000, 300_000]))
            fill(folder, leave)
            done = program.finish()
            when = f"full but {leave} bytes"
            if done.code == 0:
                wrong = work.problem(folder / work.out, {})
                yield Trial(f"{when}: {wrong}" if wrong else "", "there was room enough")
                continue
            wrong = refusal_problem(done, folder)
            before = work.kept(folder / work.out)
            (folder / "ballast").unlink()
            wrong = wrong or work.problem_after(folder, before)
            yield Trial(f"{when}: {wrong}" if wrong else "", "refused, then went on")


FULL = "a sentence that names the place, code 2; when there is room the same command goes on"


@item("full-label", "the disk fills during `distill label`", FULL, (10, 2))
def full_label(place: Place) -> Iterator[Trial]:
    """At a random moment."""
    return filled(*labelling(place), place)


@item("full-train", "the disk fills during `distill train`", FULL, (10, 2))
def full_train(place: Place) -> Iterator[Trial]:
    """At a random moment."""
    return filled(*training(place), place)


@item("full-run", "the disk fills during `distill run`", FULL, (10, 1))
def full_run(place: Place) -> Iterator[Trial]:
    """At a random moment."""
    return filled(*running(place), place)


@item(
    "full-others", "every other command that writes, onto a disk that has no room",
    "a sentence that names the place, code 2; nothing is left there", (1, 1),
)  # fmt: skip
def full_others(place: Place) -> Iterator[Trial]:
    """Full before it begins; and filled while it works."""
    data, _ = undisturbed(label_work(), place.folder.parent / "undisturbed-label")
    for wait in (0.0, 1.5, 3.0):
        for name, words in writers(data, Path("{out}")).items():
            if name in ("label", "train", "run", "bench") or (name == "export, aoti" and wait):
                continue  # they have items of their own, or take minutes
            with disk(place.folder / "disk") as folder:
                there = [str(word).replace("{out}", str(folder)) for word in words]
                if not wait:
                    fill(folder, 0)
                program = Program(there, place.folder)
                time.sleep(wait * load())
                fill(folder, 0)
                done = program.finish()
                left = [p.name for p in folder.rglob("*") if p.is_file() and p.name != "ballast"]
                if done.code == 0:
                    yield Trial(note="was done before")
                    continue
                wrong = refusal_problem(done, folder)
                wrong = wrong or (f"leaves {', '.join(left)}" if left else "")
                yield Trial(f"{name}, full after {wait:g} s: {wrong}" if wrong else "", "refused")


@item(
    "full-temporary", "the system's temporary folder (TMPDIR) is full, that of the results is not",
    "the command ends as ever, or names the temporary folder; nothing is lost", (1, 1),
)  # fmt: skip
def full_temporary(place: Place) -> Iterator[Trial]:
    """It belongs to other programs, too."""
    for work, _ in (labelling(place), training(place), running(place)):
        with disk(place.folder / "temporary") as folder:
            fill(folder, 0)
            results = place.folder / work.name
            done = run(work.command(results / work.out, False), results, TMPDIR=folder)
        if done.code == 0:
            wrong = work.problem(results / work.out, {})
            yield Trial(f"{work.name}: {wrong}" if wrong else "", "ended as ever")
            continue
        wrong = refusal_problem(done, folder) or work.problem_after(
            results, work.kept(results / work.out)
        )
        yield Trial(f"{work.name}: {wrong}" if wrong else "", "refused, then went on")
