"""The MD that a run ends with, of each molecule in turn."""

from collections.abc import Callable
from typing import Any

from distill.bar import bar
from distill.data.explore import first_geometries
from distill.errors import DistillError, reason
from distill.run.check import more
from distill.run.job import Job
from distill.student.student import Student

Engine = Callable[..., dict[str, Any]]


# the share of the budget at which the MD ends, and what it gets at least
MD_END, LEAST = 0.97, 0.02


def run_md(job: Job, student: Student, engine: Engine) -> list[dict[str, Any]]:
    """What the engine says of the MD of each molecule; those of an earlier start are kept."""
    settings, out = job.settings, job.folder.path
    done: dict[str, Any] = job.folder.state.setdefault("md", {})
    todo = [molecule for molecule in job.series.molecules if molecule.name not in done]
    left = max(LEAST * job.clock.budget, MD_END * job.clock.budget - job.clock.spent())
    each = left / max(1, len(todo))
    for molecule in todo:
        whose = "" if job.series.alone else f" of {molecule.name}"
        long = f"{each:.0f} s" if settings.md_ps is None else f"{settings.md_ps:g} ps"
        job.say(f"MD{whose} at {settings.temperature:g} K in OpenMM for {long}.")
        folder = job.series.folder(molecule, out)
        folder.mkdir(exist_ok=True)
        start = first_geometries(molecule, 1, settings.seed)[0]
        try:
            with bar("MD", job.console) as advance:
                found = engine(
                    student, molecule, start, folder, temperature=settings.temperature,
                    minutes=each / 60.0, picoseconds=settings.md_ps, seed=settings.seed,
                    on_chunk=advance,
                )  # fmt: skip
        except (DistillError, OSError):
            raise
        except Exception as error:  # OpenMM's own, of coordinates that are not numbers, too
            final = out / "student.safetensors"
            raise DistillError(
                f"The MD of the student failed{whose} ({reason(error)}): {more(final)}"
            ) from error
        done[molecule.name] = found
        job.folder.write()
        beware = f"{molecule.name}: " if whose else ""
        if "broke_up" in found:
            job.say(beware + found["broke_up"])
        if found.get("frames_unlike_training"):
            job.say(
                f"{beware}Beware: in {found['frames_unlike_training']} of {found['frames']} frames "
                "of the MD an atom was unlike all that the student has learned."
            )
    return [done[molecule.name] for molecule in job.series.molecules]
