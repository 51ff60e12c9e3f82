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
