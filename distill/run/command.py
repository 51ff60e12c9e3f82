"""The parts of a run, one after the other."""

import json
from pathlib import Path

import torch
from rich.console import Console

from distill.data.sampling import Sampling, not_as_asked
from distill.evaluate import HEADLINE
from distill.lock import sole_user
from distill.plugins import of_openmm
from distill.run.check import held_out_check
from distill.run.few import refit_uncertainty
from distill.run.folder import Clock, RunFolder, write_json
from distill.run.job import Job
from distill.run.labels import failures, gather_parts, label_files, merge_files
from distill.run.md import Engine, run_md
from distill.run.molecules import read_series
from distill.run.report import results, shown
from distill.run.settings import RunSettings
from distill.run.train import RANDOM, explore_and_train, starting_student
from distill.student.file import load_student, save_student
from distill.student.student import Student
from distill.train.assistant import AUTO, NONE
from distill.train.finish import save_with_uncertainty
from distill.train.grow import Growing


def run(
    settings: RunSettings,
    out: Path,
    *,
    console: Console,
    workers: int | None = None,
    skip_bad: bool = False,
) -> None:
    """Everything, into the folder ``out``; after a stop the same call goes on where it was.

    skip_bad: goes on without the molecules that cannot be used.
    """
    # found first, so that nothing is lost later
    engine: Engine = of_openmm("distill.engines", "`distill run` ends with MD in OpenMM")
    student, origin = starting_student(settings)
    if settings.assistant not in (AUTO, NONE):
        load_student(settings.assistant)  # a wrong name is told now
    series = read_series(settings, student, skip_bad)
    with sole_user(out):
        if not (out / "run.json").is_file():
            settings.spec().load()  # a teacher that does not work must not leave a folder behind
        folder = RunFolder(out, settings)
        if folder.finished:
            console.print(f"{out} is complete: see report.json in it.")
            return
        clock = Clock(folder, settings.budget)
        job = Job(settings, series, folder, clock, folder.logger(console), console, workers)
        _run(job, student, origin, engine)


def _run(job: Job, student: Student, origin: str, engine: Engine) -> None:
    settings, folder, say = job.settings, job.folder, job.say
    out = folder.path
    for molecule in job.series.molecules:
        say(f"{molecule.name}: {len(molecule)} atoms, charge {molecule.charge}.")
    for note in job.series.notes:
        say(note)
    say(f"Teacher {settings.teacher}, student {settings.size}, {settings.limits}.")

    torch.set_num_threads(1)
    say(f"The student starts from {origin}.")
    beware = not_as_asked([(molecule, Sampling()) for molecule in job.series.molecules])
    if beware and origin == RANDOM:
        say(beware)
    final = out / "student.safetensors"
    if not final.is_file():
        explore_and_train(job, student, origin)
    gather_parts(settings, folder)
    if not (out / "dataset.h5").is_file():
        merge_files(label_files(folder), out / "dataset.h5")
        count, why = failures(label_files(folder))
        if count:
            say(f"Beware: the teacher failed on {count} geometries, as in: {why}")
    student = load_student(final)
    if student.latent is None:  # stopped right after the training
        data = Growing(lambda: label_files(folder), student)
        data.poll()
        save_with_uncertainty(student, data.train, data.valid, final)

    # still one thread: where another process wants a core, two are thirty times slower than one
    if not (out / "report.json").is_file():
        held_out_check(job, student)
    refit_uncertainty(job, student)
    report = json.loads((out / "report.json").read_text())
    student.card["held_out"] = {k: report[k] for k in HEADLINE}
    save_student(student, final)  # whatever the MD may come to

    report |= results(job, report, run_md(job, student, engine), origin)
    write_json(out / "report.json", report)
    folder.mark("done")
    rmse, r2 = shown(report["force_rmse"], 4), shown(report["force_r2"], 5)
    moved = ""
    for one in report["molecules"]:
        md = one["md"]
        if job.series.alone:
            moved = f"; {md['picoseconds']:.1f} ps of MD at {md['ns_per_day']:.2f} ns/day"
        else:
            say(
                f"{one['name']}: force RMSE {shown(one['force_rmse'], 4)} eV/Å with "
                f"{one['labels']} labels; {md['picoseconds']:.1f} ps of MD in {one['folder']}."
            )
    say(
        f"Force RMSE {rmse} eV/Å, R2 {r2} on {report['n_frames']} frames not trained on{moved}. "
        f"All in {out}, after {job.clock.spent() / 60:.1f} min."
    )
