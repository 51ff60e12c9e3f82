"""Distances between atoms, as chemistry measures them."""

import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform


def relative_distances(
    numbers: NDArray[np.int64], positions: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Distances (N, N) over the sums of covalent radii; infinite on the diagonal.

    Atomic numbers (N,), positions (N, 3) in Å. Bonded atoms are at about 1.
    """
    radii = covalent_radii[numbers]
    relative = squareform(pdist(positions)) / (radii[:, None] + radii[None, :])
    np.fill_diagonal(relative, np.inf)
    return relative


def contact_distance(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    along: NDArray[np.float64],
    reach: NDArray[np.float64] | float,
) -> float:
    """How far y (M, 3) must be moved along a unit vector, so that coming from far away a first atom
    is within ``reach`` (N, M), or one for all, of one of x (N, 3)."""
    between = y[None] - x[:, None]
    ahead = between @ along
    # |between + distance along| = reach, the larger root
    square = ahead**2 - (between**2).sum(-1) + reach**2
    return float(np.max(np.where(square >= 0, -ahead + np.sqrt(np.maximum(square, 0)), -np.inf)))
