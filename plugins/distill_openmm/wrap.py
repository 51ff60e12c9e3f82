"""Frames to look at: whole molecules, around the one that matters."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Wrap:
    """Puts each molecule, whole, into the image of the box that is nearest to the centre of some
    atoms, which comes to the middle of the box.

    So a ligand stays in its protein and its water is around it, however far they have moved.
    """

    def __init__(self, molecules: Sequence[Sequence[int]], centre: Sequence[int]):
        count = sum(len(one) for one in molecules)
        self.molecule = np.zeros(count, dtype=np.int64)
        for k, atoms in enumerate(molecules):
            self.molecule[list(atoms)] = k
        self.sizes = np.bincount(self.molecule)[:, None]
        self.centre = np.array(centre)

    def __call__(self, positions: Array, box: Array) -> Array:
        """positions (N, 3), molecules whole; box (3, 3) in OpenMM's reduced form; in one unit."""
        middle = positions[self.centre].mean(0)
        centres = np.zeros((len(self.sizes), 3))
        np.add.at(centres, self.molecule, positions)
        away = centres / self.sizes - middle
        shift = np.zeros_like(away)
        for k in (2, 1, 0):
            images = np.round((away[:, k] + shift[:, k]) / box[k, k])
            shift -= images[:, None] * box[k]
        shift += 0.5 * box.sum(0) - middle
        return np.asarray(positions + shift[self.molecule])
