"""Clusters cut out of a liquid's MD: what a student must learn before it can hold that liquid.

A teacher for molecules has no periodic boxes, and needs none: a student sees two or three cutoffs
far, and what pushes and pulls in a liquid is a molecule's nearest neighbours.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from numpy.typing import NDArray

from distill.data.molecules import Molecule, geometry_problem
from distill.errors import DistillError

SQUEEZES = 20
"""Steps in which a box shrinks to the next density."""


def clusters_of(
    calculator: Calculator,
    box: Atoms,
    molecules: int,
    densities: Sequence[float],
    *,
    name: str,
    kelvin: float = 400.0,
    frames: int = 100,
    nearest: int = 8,
    seed: int = 0,
) -> Molecule:
    """``nearest`` molecules, one of the box's and those around it, ``frames`` times a density.

    box: periodic, ``molecules`` equal molecules one after the other, whole. It is squeezed through
    ``densities`` (g/cm3), Langevin MD (1 fs) running at ``kelvin``; a cluster is taken every 20 fs.
    Where the MD falls apart, it ends: what was taken till then is what the student must learn.
    """
    rng = np.random.default_rng(seed)
    box = box.copy()
    box.calc = calculator
    MaxwellBoltzmannDistribution(box, temperature_K=kelvin, rng=rng)
    dynamics = Langevin(
        box, units.fs, temperature_K=kelvin, friction=0.02 / units.fs, rng=rng, fixcm=False
    )
    found = [
        cut(box, molecules, nearest, int(rng.integers(molecules)))
        for _ in squeezed(dynamics, molecules, densities, kelvin, frames)
    ]
    per_molecule = len(box) // molecules
    good = tuple(x for x in found if geometry_problem(x) is None)
    return Molecule(name, box.numbers[: nearest * per_molecule], positions=good)


def squeezed(
    dynamics: Langevin, molecules: int, densities: Sequence[float], kelvin: float, frames: int
) -> Iterator[None]:
    """Runs MD at each density in turn, stopping every 20 fs; ends where it falls apart."""
    box = dynamics.atoms
    for density in densities:
        volume = box.get_masses().sum() / (density * units._Nav * 1e-24)
        step = (volume / box.get_volume()) ** (1 / (3 * SQUEEZES))
        for _ in range(SQUEEZES):
            squeeze(box, molecules, step)
            if not runs(dynamics, 10, kelvin):
                return
        for _ in range(frames):
            if not runs(dynamics, 20, kelvin):
                return
            yield


def squeeze(box: Atoms, molecules: int, factor: float) -> None:
    """Scales the cell and the molecules' centres, not the molecules."""
    x = box.positions.reshape(molecules, -1, 3)
    centres = x.mean(1, keepdims=True)
    box.set_cell(box.cell * factor)
    box.positions = (x + (factor - 1.0) * centres).reshape(-1, 3)


def cut(box: Atoms, molecules: int, nearest: int, middle: int) -> NDArray[np.float64]:
    """Positions of molecule ``middle`` and those around it, each its nearest image, whole."""
    x = box.positions.reshape(molecules, -1, 3)
    cell = box.cell.array
    away = x.mean(1) - x[middle].mean(0)
    shift = np.round(away @ np.linalg.inv(cell)) @ cell
    order = np.argsort(np.linalg.norm(away - shift, axis=1))[:nearest]
    chosen: NDArray[np.float64] = (x - shift[:, None])[order].reshape(-1, 3)
    return chosen


def runs(dynamics: Langevin, steps: int, kelvin: float) -> bool:
    """Runs MD; whether it is still one: finite, and not far hotter than it should be."""
    try:
        dynamics.run(steps)
    except DistillError:  # a student refuses atoms that are nowhere
        return False
    box = dynamics.atoms
    return bool(np.isfinite(box.positions).all() and box.get_temperature() < 3 * kelvin)
