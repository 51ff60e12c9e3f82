"""Geometries that the MD of a student visits: what an explorer asks the teacher about."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from distill.data.distort import displaced
from distill.data.molecules import Molecule, geometry_problem
from distill.data.sampling import Frame, Sampling, sample, starts_of
from distill.data.student_md import bonded_pairs, intact, student_md
from distill.errors import DistillError
from distill.student.student import Student

Positions = NDArray[np.float64]

TEMPERATURES = (300.0, 400.0, 500.0, 500.0, 600.0, 700.0)
"""Of the replicas (K), whose MD goes on from batch to batch."""
MANY = 36
"""Geometries at a time, at most; six of each replica."""
MOST_STARTS = 12
STEPS_BETWEEN = 50
EQUILIBRATION = 200
DISPLACED = 0.2
"""Of the geometries that are few: this share has its atoms displaced."""
DISPLACEMENT = (0.02, 0.1)


def walk(
    molecule: Molecule,
    student: Student | None,
    rng: np.random.Generator,
    count: int,
    replicas: Sequence[Positions] = (),
) -> tuple[list[Frame], list[Positions]]:
    """``count`` new geometries, and where the replicas of the MD stand now; without a student, or
    with one that cannot hold the molecule, a force field's and none.

    Where they are MANY, six replicas go on from where they stood. Fewer, which each cost the
    teacher more, are as different as they can be: see :func:`varied`.
    """
    frames: list[Frame] = []
    ends: list[Positions] = []
    if student is not None and count >= MANY:
        frames, ends = going_on(molecule, student, rng, count, replicas)
    elif student is not None:
        frames = varied(molecule, student, rng, count)
    return (frames, ends) if frames else (by_force_field(molecule, rng, count), [])


def going_on(
    molecule: Molecule,
    student: Student,
    rng: np.random.Generator,
    count: int,
    replicas: Sequence[Positions],
) -> tuple[list[Frame], list[Positions]]:
    """The next frames of the replicas' MD, and where they stand then."""
    starts = list(replicas)
    afresh = not starts or rng.random() < 0.3  # often, so that no basin is forgotten
    if afresh:
        starts = conformers(molecule, len(TEMPERATURES), rng)
    taken = student_md(
        student, molecule.numbers, starts, TEMPERATURES,
        frames=-(-count // len(starts)), steps_between=STEPS_BETWEEN,
        equilibration=EQUILIBRATION if afresh else 0, seed=int(rng.integers(2**31)),
        masses=molecule.masses,
    )  # fmt: skip
    # a replica that came apart starts again elsewhere
    bonds = bonded_pairs(molecule.numbers, starts[0])
    ends = [frames[-1].positions if frames else x for frames, x in zip(taken, starts)]
    ends = [
        x if intact(molecule.numbers, x, bonds) else conformers(molecule, 1, rng)[0] for x in ends
    ]
    return [frame for frames in taken for frame in frames], ends


def varied(
    molecule: Molecule, student: Student, rng: np.random.Generator, count: int
) -> list[Frame]:
    """From as many conformers as there are geometries (MOST_STARTS at most), each warmed by the
    student to a temperature of its own; one geometry in five has its atoms displaced."""
    starts = conformers(molecule, min(count, MOST_STARTS), rng)
    taken = student_md(
        student, molecule.numbers, starts,
        rng.uniform(min(TEMPERATURES), max(TEMPERATURES), len(starts)).tolist(),
        frames=-(-count // len(starts)), steps_between=STEPS_BETWEEN,
        equilibration=EQUILIBRATION, seed=int(rng.integers(2**31)), masses=molecule.masses,
    )  # fmt: skip
    found = []
    for frame in [frame for frames in taken for frame in frames][:count]:
        if rng.random() < DISPLACED:
            moved = displaced(frame.positions, DISPLACEMENT, rng)
            if not geometry_problem(moved):
                frame = Frame(moved, "displaced", frame.temperature)
        found.append(frame)
    return found


def by_force_field(molecule: Molecule, rng: np.random.Generator, count: int) -> list[Frame]:
    """Frames of a force field's MD, from several conformers."""
    plan = Sampling(
        frames=count, conformers=min(count, 6), steps_between=50, displaced=DISPLACED,
        displacement=DISPLACEMENT, given=False, seed=int(rng.integers(2**31)),
    )  # fmt: skip
    return sample(molecule, plan)


def conformers(molecule: Molecule, count: int, rng: np.random.Generator) -> list[Positions]:
    """``count`` relaxed geometries to start MD from: RDKit's, and of the user's own every other.

    Raises DistillError when there are none of either.
    """
    own = molecule.positions
    mol = molecule.rdmol
    embeds = mol is not None and len(Chem.GetMolFrags(mol)) == 1
    if not own and not embeds:
        raise DistillError(f"{molecule.name} has neither bonds nor a geometry to start from.")
    few = int(rng.binomial(count, 0.5)) if own and embeds else count if own else 0
    chosen = [own[k] for k in rng.integers(len(own), size=few)] if own else []
    if mol is None:
        return chosen
    starts = starts_of(
        replace(molecule, positions=tuple(chosen)), count, int(rng.integers(2**31 - 1))
    )
    found = [start.GetConformer().GetPositions() for start in starts]
    return [found[k % len(found)] for k in range(count)]
