"""Langevin MD of one molecule or of many replicas of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from ase.units import fs, kB

Forces = Callable[[np.ndarray], np.ndarray]
"""Of positions (N, 3) in Å, in eV/Å."""


def langevin(
    positions: np.ndarray,
    velocities: np.ndarray,
    masses: np.ndarray,
    forces: Forces,
    temperature: float | np.ndarray,
    rng: np.random.Generator,
    step: float = 1.0,
    friction: float = 0.02,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Langevin MD, BAOAB (Leimkuhler and Matthews, J. Chem. Phys. 138, 174102 (2013)).

    Positions (N, 3) in Å, velocities in Å per ASE unit of time, masses (N,) in u, ``forces`` gives
    eV/Å, ``temperature`` in K, ``step`` in fs, ``friction`` in 1/fs. R replicas move at once when
    positions and velocities are (R, N, 3), each at a temperature of its own when that is
    (R, 1, 1). Yields positions and velocities after each step; the caller may change them in place.
    """
    masses = masses[:, None]
    dt = step * fs
    keep = np.exp(-friction * step)
    kick = np.sqrt((1 - keep**2) * kB * temperature / masses)
    x, v = positions.copy(), velocities.copy()
    f = forces(x)
    while True:
        v = v + 0.5 * dt * f / masses
        x = x + 0.5 * dt * v
        v = keep * v + kick * rng.standard_normal(v.shape)
        x = x + 0.5 * dt * v
        f = forces(x)
        v = v + 0.5 * dt * f / masses
        yield x, v
