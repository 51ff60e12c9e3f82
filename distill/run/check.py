"""The check of a finished student, on frames of its own MD that were never trained on."""

import math
from contextlib import nullcontext
from itertools import zip_longest
from pathlib import Path

import numpy as np

from distill.data.dataset import Dataset
from distill.data.explore import first_geometries
from distill.data.label import label
from distill.data.sampling import Frame
from distill.data.student_md import student_md
from distill.data.turns import shares
from distill.errors import DistillError
from distill.evaluate import evaluate
from distill.run.job import Job
from distill.run.labels import cost
from distill.student.student import Student
from distill.whole import whole_file

TEMPERATURES = (300.0, 500.0)
REPLICAS = 8
FEWEST, MOST = 3, 48
"""Frames, in all and of each molecule."""
SHARE, SECONDS = 0.1, 10.0
"""Of the time that labelling took; but so long labelling for the check may take in any case."""


def held_out_check(job: Job, student: Student) -> None:
    """Labels frames of the finished student's own MD, from conformers of their own."""
    folder = job.folder.path
    job.say("Checking on frames of the student's own MD that were not trained on.")
    frames_file = folder / "work" / "check.npz"
    if not frames_file.is_file():
        save_frames(frames_file, frames_to_check(job, student))
    frames = load_frames(frames_file)
    unhurried = job.settings.minutes is None  # then labels cost nothing of the budget
    with job.clock.stopped() if unhurried else nullcontext():
        try:
            label(
                [
                    (molecule, some[k::4])
                    for molecule, some in zip(job.series.molecules, frames, strict=True)
                    for k in range(4)
                    if some[k::4]
                ],
                job.settings.spec(),
                folder / "test.h5",
                workers=job.workers,
                progress=False,
            )
        except DistillError as error:
            raise DistillError(
                f"The student is saved ({folder / 'student.safetensors'}) but not checked: {error}"
            ) from error
    # a stop while it was being written may have left half a report
    evaluate(
        student, folder / "test.h5", folder,
        name=job.series.name, overwrite=True, progress=False,
    )  # fmt: skip


def frames_to_check(job: Job, student: Student) -> list[list[Frame]]:
    """Of each molecule; none of one that the student cannot hold, or that is left out."""
    molecules = job.series.molecules
    with Dataset.open(job.folder.path / "dataset.h5") as dataset:
        labels, seconds = cost(dataset)
    counts = frames_each(len(molecules), labels, seconds, job.settings.labels)
    seed = job.settings.seed + 7919
    found: list[list[Frame]] = []
    for molecule, count in zip(molecules, counts):
        if not count:
            found.append([])
            continue
        replicas = min(REPLICAS, count)
        taken = student_md(
            student, molecule.numbers, first_geometries(molecule, replicas, seed),
            [TEMPERATURES[k % 2] for k in range(replicas)],
            frames=-(-count // replicas), steps_between=40, equilibration=100, seed=seed,
            masses=molecule.masses,
        )  # fmt: skip
        found.append([frame for frames in zip_longest(*taken) for frame in frames if frame][:count])
    if not any(found):
        final = job.folder.path / "student.safetensors"
        raise DistillError(f"The student's MD came apart at once: {more(final)}")
    for molecule, frames, count in zip(molecules, found, counts, strict=True):
        if count and not frames:
            job.say(f"Beware: the student's MD of {molecule.name} came apart at once.")
    left_out = [molecule.name for molecule, count in zip(molecules, counts) if not count]
    if left_out:
        job.say(f"Too few --labels to check on these molecules, too: {', '.join(left_out)}.")
    return found


def frames_each(molecules: int, labels: int, seconds: float, wanted: int | None) -> list[int]:
    """How many frames of each molecule to check on, by what the labels cost: about a tenth of it.

    seconds: of one label, NaN where that is unknown. wanted: the number of labels that the user
    gave; a fifth of it at most. But FEWEST in all, and one of each molecule, unless these alone
    are more than half of ``wanted``: then the last molecules get none.
    """
    total, least = MOST * molecules, max(FEWEST, molecules)
    if math.isfinite(seconds):
        total = min(total, int(max(SHARE * labels * seconds, SECONDS) / max(seconds, 1e-9)))
    if wanted is not None:
        total = min(total, wanted // 5)
        least = least if 2 * molecules <= wanted else FEWEST
    return shares(max(least, total), molecules)


def save_frames(path: Path, frames: list[list[Frame]]) -> None:
    """Frames of each molecule as one npz, whole or not at all."""
    arrays: dict[str, np.ndarray] = {}
    for k, some in enumerate(frames):
        arrays |= {
            f"positions{k or ''}": np.array([f.positions for f in some]),
            f"temperature{k or ''}": np.array([f.temperature for f in some]),
            f"source{k or ''}": np.array([f.source for f in some], dtype=np.str_),
        }
    with whole_file(path) as place:
        np.savez(place, allow_pickle=False, **arrays)


def load_frames(path: Path) -> list[list[Frame]]:
    """Inverse of :func:`save_frames`."""
    with np.load(path) as stored:
        return [
            [
                Frame(p, str(s), float(t))
                for p, s, t in zip(
                    stored[f"positions{k or ''}"],
                    stored[f"source{k or ''}"],
                    stored[f"temperature{k or ''}"],
                )
            ]
            for k in range(len(stored.files) // 3)
        ]


def more(final: Path) -> str:
    """How a student that has learned too little is trained on."""
    return (
        f"it needs more training. It is saved; `distill run` goes on from it with --from {final}, "
        "a larger --budget and another folder (-o)."
    )
