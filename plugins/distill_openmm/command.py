"""What ``distill md`` does: a folder, what is in it, and the run.

``distill`` finds :func:`md` through the entry-point group ``distill.md``.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from distill.bar import bar
from distill.errors import DistillError
from distill.lock import sole_user
from distill.md.settings import MDSettings
from distill.md.source import Source
from distill.student.file import load_student, save_student
from distill.whole import write_json
from distill_openmm.contexts import platform_for
from distill_openmm.keep import SETUP, read_prepared, write_prepared
from distill_openmm.picture import picture
from distill_openmm.prepare import prepare
from distill_openmm.simulate import Progress, Simulation
from distill_openmm.summary import summary

ASKED, DONE, LOG = "md-run.json", "md.json", "md.log"
STUDENT = "student.safetensors"
MAY_CHANGE = ("ps", "threads", "platform")


def md(student: str, source: Source, settings: MDSettings, out: Path, console: Console) -> None:
    """MD of a student's, into the folder ``out``; the same call goes on where it was, also with
    more ``ps``."""
    if out.exists() and not out.is_dir():
        raise DistillError(f"{out} is a file; give a folder for the results (-o).")
    known = (out / STUDENT).is_file()  # the file that it came from may be gone
    loaded = load_student(out / STUDENT if known else student)
    platform_for(settings.platform, alone=True)
    with sole_user(out):
        asked = {"student": student, "source": asdict(source), "settings": asdict(settings)}
        asked = json.loads(json.dumps(asked))
        before = earlier(out)
        if before is not None:
            check_same(out, before, asked)
            if finished(out, settings):
                console.print(f"{out} is complete: see {DONE} in it.")
                return
        elif any(out.iterdir()):
            raise DistillError(f"{out} is not empty and holds no MD run; give another -o.")
        say = logger(out, console)
        new = not (out / SETUP).is_file()
        prepared = prepare(source, loaded, settings.seed, say) if new else read_prepared(out)
        settings = settings.within(prepared.box is not None)
        progress = Progress(say)
        # before anything is written: what cannot be run shall leave no folder
        simulation = Simulation(loaded, prepared, settings, out, progress)
        write_json(out / ASKED, asked)
        if new:
            save_student(loaded, out / STUDENT)
            write_prepared(out, prepared)
        (out / DONE).unlink(missing_ok=True)
        for note in prepared.notes:
            say(note)
        others = prepared.topology.getNumAtoms() - len(prepared.atoms)
        around = " in vacuum" if prepared.system is None else " in implicit solvent"
        if others:
            around = f", {others:,} of a force field's"
        say(
            f"{len(prepared.atoms)} atoms are the student's{around}; "
            f"{0.001 * settings.steps * settings.timestep:g} ps of "
            f"{settings.ensemble.upper()} at {settings.temperature:g} K, "
            f"{settings.timestep:g} fs a step."
        )
        with bar("Setting up", console) as advance:

            def shown(phase: str, share: float, speed: float) -> None:
                advance(share, phase, f"{speed:.3g} ns/day" if speed else "")

            progress.advance = shown
            result = simulation.run()
        result |= summary(out / "md.csv")
        write_json(out / DONE, {**result, "student": student, "asked": asked})
        picture(out / "md.csv", out / "md.png", settings.temperature)
        tell(result, out, say)
        if result.get("ended"):
            raise DistillError(result["broke_up"])


def earlier(out: Path) -> dict[str, Any] | None:
    """What was asked of the run in the folder; None where there is none."""
    file = out / ASKED
    if not file.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(file.read_text())
        assert found["source"] and found["settings"]
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise DistillError(f"{file} is not ours or damaged; give another -o.") from error
    return found


def check_same(out: Path, before: dict[str, Any], asked: dict[str, Any]) -> None:
    """DistillError where something else was asked than before; ps, and on what it is computed, may
    change."""
    pairs = [("student", before["student"], asked["student"])]
    for part in ("source", "settings"):
        for key, value in asked[part].items():
            if key not in MAY_CHANGE:
                pairs.append((key, before[part].get(key, value), value))
    for key, old, new in pairs:
        if old != new:
            raise DistillError(
                f"{out} holds another MD run ({key} is {old!r} there, {new!r} here); give another "
                "-o, or the same settings to go on."
            )


def finished(out: Path, settings: MDSettings) -> bool:
    """Whether all that is asked is there; DistillError where a file of a finished run is not."""
    try:
        found = json.loads((out / DONE).read_text())
    except (OSError, ValueError):
        return False
    if not found.get("ended") and found.get("steps", -1) < settings.steps:
        return False
    files = [out / name for name in ("topology.pdb", "trajectory.dcd", "md.csv")]
    whole = all(file.is_file() for file in files)
    if not whole or files[-1].read_text().count("\n") != 1 + found["frames"]:
        raise DistillError(
            f"{out} was finished, but topology.pdb, trajectory.dcd or md.csv in it is gone or cut; "
            "give another -o."
        )
    return True


def tell(result: dict[str, Any], out: Path, say: Callable[[str], None]) -> None:
    """The last lines."""
    if "broke_up" in result and not result["ended"]:
        say(result["broke_up"])
    strange = result.get("frames_unlike_training")
    if strange:
        say(
            f"Beware: in {strange} of {result['frames']} frames an atom was unlike all that the "
            "student has learned."
        )
    density, frames = result.get("density_g_per_cm3"), result["frames"]
    dense = "" if density is None else f", density {density:.4f} g/cm3"
    warm = result.get("mean_temperature")
    say(
        f"{result['picoseconds']:g} ps, {frames} frame{'s' * (frames != 1)} at "
        f"{result['ns_per_day']:.3g} ns/day; "
        + ("" if warm is None else f"mean temperature {warm:.1f} K{dense}. ")
        + f"All in {out}."
    )


def logger(out: Path, console: Console) -> Callable[[str], None]:
    """Prints a line, and adds it to md.log with the time; as soon as the folder holds a run, so
    that a mistake leaves nothing."""
    waiting: list[str] = []

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)
        waiting.append(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")
        if (out / ASKED).is_file():
            with (out / LOG).open("a") as file:
                file.writelines(waiting)
            waiting.clear()

    return say
