"""Molecules in a box: whole, and around the one that matters."""

from collections.abc import Iterable, Sequence

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
        # in a skewed box a neighbouring image may be nearer than that
        near = np.array(list(np.ndindex(3, 3, 3))) - 1.0
        images = (away + shift)[:, None] + near @ box
        shift += (near @ box)[np.argmin((images**2).sum(-1), axis=1)]
        shift += 0.5 * box.sum(0) - middle
        return np.asarray(positions + shift[self.molecule])


def whole(positions: Array, pairs: Iterable[tuple[int, int]], box: Array) -> Array:
    """Positions (N, 3) with every molecule in one piece, which the border of the box may have cut.

    pairs: of atoms that are bonded, each within half a box of the other; box (3, 3), rows as
    vectors, in the unit of the positions. The first atom of a molecule stays.
    """
    found = positions.copy()
    bonded: dict[int, list[int]] = {}
    for i, j in pairs:
        bonded.setdefault(i, []).append(j)
        bonded.setdefault(j, []).append(i)
    inverse = np.linalg.inv(box)
    done: set[int] = set()
    for first in sorted(bonded):
        if first in done:
            continue
        done.add(first)
        todo = [first]
        while todo:
            atom = todo.pop()
            for other in bonded[atom]:
                if other not in done:
                    done.add(other)
                    away = found[other] - found[atom]
                    found[other] -= np.round(away @ inverse) @ box
                    todo.append(other)
    return found
