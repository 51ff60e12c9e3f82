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
    """``count`` geometries of the one molecule that ``frames`` are of; energies and forces are 0.

    The walks are MD of ``student`` (Langevin, 1 fs) from frames chosen by chance. Where the
    molecule comes apart, displaced frames take the place of what is missing.
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
    found = [frame.positions for walk in taken for frame in walk][:count]
    moved = rng.permutation(len(found))[: round(DISPLACED * len(found))]
    for k in moved.tolist():
        found[k] = displaced(found[k], DISPLACEMENT, rng)
    missing = rng.integers(len(frames), size=count - len(found))
    found += [displaced(frames[k].positions, DISPLACEMENT, rng) for k in missing.tolist()]
    nothing = np.zeros(frames[0].positions.shape)
    return [
        replace(frames[0], positions=positions, energy=0.0, forces=nothing, source=FREE,
                temperature=float("nan"))
        for positions in found
        if not geometry_problem(positions)
    ]  # fmt: skip


def save_frames(frames: Sequence[LabelledFrame], path: Path) -> None:
    """Labelled frames without a cell as one npz, whole or not at all."""
    empty = np.zeros((0, 3))
    with whole_file(path) as place:
        np.savez(
            place,
            name=np.array([frame.name for frame in frames], dtype=np.str_),
            molecule=np.array([frame.molecule for frame in frames], dtype=np.str_),
            charge=np.array([frame.charge for frame in frames], dtype=int),
            spin=np.array([frame.spin for frame in frames], dtype=int),
            energy=np.array([frame.energy for frame in frames], dtype=float),
            atoms=np.array([len(frame.numbers) for frame in frames], dtype=int),
            numbers=np.concatenate([empty[:, 0], *(f.numbers for f in frames)]).astype(int),
            positions=np.concatenate([empty, *(frame.positions for frame in frames)]),
            forces=np.concatenate([empty, *(frame.forces for frame in frames)]),
        )


def load_frames(path: Path) -> list[LabelledFrame]:
    """What :func:`save_frames` has kept; temperatures and sources are not."""
    with np.load(path) as stored:
        cuts = np.cumsum(stored["atoms"])[:-1]
        numbers, positions, forces = (
            np.split(stored[key], cuts) for key in ("numbers", "positions", "forces")
        )
        return [
            LabelledFrame(
                str(name), numbers[k], positions[k], float(energy), forces[k],
                charge=int(charge), spin=int(spin), molecule=str(molecule),
            )
            for k, (name, energy, charge, spin, molecule) in enumerate(
                zip(*(stored[key] for key in ("name", "energy", "charge", "spin", "molecule")))
            )
        ]  # fmt: skip
