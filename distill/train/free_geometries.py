"""Geometries that cost no label: where a student walks from those of the labels, and nearby.

A teacher assistant labels them for nothing (:mod:`distill.train.assistant`). Half of what makes
them useful is that they cover more than MD visits: a student that was taught on MD alone is wrong
as soon as an atom is somewhere else.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from distill.data.distort import displaced
from distill.data.molecules import geometry_problem
from distill.data.student_md import student_md
from distill.evaluate.frames import LabelledFrame
from distill.student.student import Student
from distill.train.hold_out import molecule_of
from distill.whole import whole_file

TEMPERATURES = (300.0, 400.0, 500.0, 600.0, 700.0, 300.0, 500.0, 700.0)
"""K, one for each of the walks that go on side by side."""
EQUILIBRATION = 50
STEPS_BETWEEN = 20
"""Of 1 fs: geometries this near to each other still differ in all vibrations."""
DISPLACED = 0.25
"""The fraction of the geometries whose atoms are moved beside their places, by ..."""
DISPLACEMENT = (0.02, 0.12)
"""... Gaussian noise whose width is drawn from here, in Å."""
FREE = "free"


def free_geometries(
    student: Student, frames: Sequence[LabelledFrame], count: int, seed: int
) -> list[LabelledFrame]:
    """At most ``count`` geometries of the one molecule that ``frames`` are of, without labels.

    The walks are MD of ``student`` (Langevin, 1 fs) from frames chosen by chance. Their energies
    and forces are not a number (NaN). Fewer come back when the molecule came apart.
    """
    rng = np.random.default_rng(seed)
    walks = min(len(TEMPERATURES), count)
    chosen = rng.choice(len(frames), walks, replace=len(frames) < walks)
    taken = student_md(
        student,
        frames[0].numbers,
        [frames[k].positions for k in chosen],
        TEMPERATURES[:walks],
        frames=-(-count // walks),
        steps_between=STEPS_BETWEEN,
        equilibration=EQUILIBRATION,
        seed=seed,
    )
    found = [frame for walk in taken for frame in walk][:count]
    moved = set(rng.permutation(len(found))[: round(DISPLACED * len(found))].tolist())
    free = []
    for k, frame in enumerate(found):
        positions = frame.positions
        if k in moved:
            positions = displaced(positions, DISPLACEMENT, rng)
        if not geometry_problem(positions):
            nothing = np.full(positions.shape, np.nan)
            free.append(
                replace(
                    frames[0], positions=positions, energy=np.nan, forces=nothing, source=FREE,
                    temperature=frame.temperature,
                )
            )  # fmt: skip
    return free


def save_frames(frames: Sequence[LabelledFrame], path: Path) -> None:
    """Labelled frames as one npz, whole or not at all; see :func:`load_frames`."""
    names = list(dict.fromkeys(map(molecule_of, frames)))
    index = {name: k for k, name in enumerate(names)}
    with whole_file(path) as place:
        np.savez(
            place,
            names=np.array(names),
            molecule=np.array([index[molecule_of(frame)] for frame in frames]),
            positions=np.concatenate([frame.positions for frame in frames]),
            forces=np.concatenate([frame.forces for frame in frames]),
            energy=np.array([frame.energy for frame in frames]),
        )


def load_frames(path: Path, like: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """Inverse of :func:`save_frames`; ``like`` has a frame at least of each molecule."""
    first: dict[str, LabelledFrame] = {}
    for frame in like:
        first.setdefault(molecule_of(frame), frame)
    found, atom = [], 0
    with np.load(path) as stored:
        names, positions, forces = (stored[key] for key in ("names", "positions", "forces"))
        for k, energy in zip(stored["molecule"], stored["energy"], strict=True):
            frame = first[str(names[k])]
            atoms = slice(atom, atom + len(frame.numbers))
            found.append(
                replace(
                    frame, positions=positions[atoms], forces=forces[atoms], energy=float(energy),
                    source=FREE, temperature=float("nan"),
                )
            )  # fmt: skip
            atom = atoms.stop
    return found
