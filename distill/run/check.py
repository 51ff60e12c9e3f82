"""The check of a finished student, on frames of its own MD that were never trained on."""

from pathlib import Path

import numpy as np

from distill.data.explore import first_geometries
from distill.data.label import label
from distill.data.sampling import Frame
from distill.data.student_md import student_md
from distill.errors import DistillError
from distill.evaluate import evaluate
from distill.run.job import Job
from distill.student.student import Student
from distill.whole import whole_file

TEMPERATURES = (300.0, 500.0)


def held_out_check(job: Job, student: Student) -> None:
    """Labels frames of the finished student's own MD, from conformers of their own."""
    settings, molecule, folder = job.settings, job.molecule, job.folder.path
    job.say("Checking on frames of the student's own MD that were not trained on.")
    frames_file = folder / "work" / "check.npz"
    if not frames_file.is_file():
        replicas = 8
        starts = first_geometries(molecule, replicas, settings.seed + 7919)
        temperatures = [TEMPERATURES[k % 2] for k in range(replicas)]
        taken = student_md(
            student, molecule.numbers, starts, temperatures,
            frames=6, steps_between=40, equilibration=100, seed=settings.seed + 7919,
            masses=molecule.masses,
        )  # fmt: skip
        frames = [frame for replica in taken for frame in replica]
        if not frames:
            final = folder / "student.safetensors"
            raise DistillError(f"The student's MD came apart at once: {more(final)}")
        save_frames(frames_file, frames)
    frames = load_frames(frames_file)
    label(
        [(molecule, frames[k::4]) for k in range(4) if frames[k::4]],
        settings.spec(),
        folder / "test.h5",
        workers=job.workers,
        progress=False,
    )
    # a stop while it was being written may have left half a report
    evaluate(
        student, folder / "test.h5", folder,
        name=molecule.name, overwrite=True, progress=False,
    )  # fmt: skip


def save_frames(path: Path, frames: list[Frame]) -> None:
    """Frames as one npz, whole or not at all."""
    with whole_file(path) as place:
        np.savez(
            place,
            positions=np.array([f.positions for f in frames]),
            temperature=np.array([f.temperature for f in frames]),
            source=np.array([f.source for f in frames]),
        )


def load_frames(path: Path) -> list[Frame]:
    """Inverse of :func:`save_frames`."""
    with np.load(path) as stored:
        return [
            Frame(p, str(s), float(t))
            for p, s, t in zip(stored["positions"], stored["source"], stored["temperature"])
        ]


def more(final: Path) -> str:
    """How a student that has learned too little is trained on."""
    return (
        f"it needs more training. It is saved; `distill run` goes on from it with --from {final}, "
        "a larger --budget and another folder (-o)."
    )
