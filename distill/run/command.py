"""The parts of a run, one after the other."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console

from distill.data.explore import first_geometries
from distill.data.molecules import read_molecules
from distill.data.sampling import Sampling, not_as_asked
from distill.errors import DistillError, reason
from distill.evaluate import HEADLINE
from distill.lock import sole_user
from distill.run.check import held_out_check, more
from distill.run.folder import Clock, RunFolder, write_json
from distill.run.job import Job
from distill.run.labels import gather_parts, label_files, merge_files
from distill.run.md import Engine, bar, md_engine
from distill.run.settings import RunSettings
from distill.run.train import explore_and_train, starting_student
from distill.student.file import load_student, save_student
from distill.student.student import Student
from distill.train.finish import save_with_uncertainty
from distill.train.grow import Growing

# the share of the budget at which the MD ends
MD_END = 0.97


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
        clock = Clock(folder, 60.0 * settings.minutes)
        say = folder.logger(console)
        job = Job(settings, molecule, folder, clock, say, console, workers)
        _run(job, student, origin, engine)


def _run(job: Job, student: Student, origin: str, engine: Engine) -> None:
    settings, molecule, folder, say = job.settings, job.molecule, job.folder, job.say
    out = folder.path
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
        explore_and_train(job, student, origin)
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
        held_out_check(job, student)
    report = json.loads((out / "report.json").read_text())
    student.card["held_out"] = {k: report[k] for k in HEADLINE}
    save_student(student, final)  # whatever the MD may come to

    start = first_geometries(molecule, 1, settings.seed)[0]
    left = max(0.02 * job.clock.budget, MD_END * job.clock.budget - job.clock.spent())
    say(f"MD at {settings.temperature:g} K in OpenMM for {left:.0f} s.")
    try:
        with bar("MD", job.console) as advance:
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
    report["run"] = {**asdict(settings), "seconds": job.clock.spent(), "origin": origin}
    write_json(out / "report.json", report)
    folder.mark("done")
    md = report["md"]
    if "broke_up" in md:
        say(md["broke_up"])
    if md.get("frames_unlike_training"):
        say(f"Beware: in {md['frames_unlike_training']} of {md['frames']} frames of the MD an atom "
            "was unlike all that the student has learned.")  # fmt: skip
    rmse, r2 = shown(report["force_rmse"], 4), shown(report["force_r2"], 5)
    minutes = job.clock.spent() / 60
    say(
        f"Force RMSE {rmse} eV/Å, R2 {r2} on frames not trained on; {md['picoseconds']:.1f} ps of "
        f"MD at {md['ns_per_day']:.2f} ns/day. All in {out}, after {minutes:.1f} min."
    )


def shown(value: float | None, digits: int) -> str:
    """A figure of a report, which may not be defined: one atom has no forces to be told apart."""
    return "n/a" if value is None else f"{value:.{digits}f}"
