"""Neighbour lists: vesin's, and one with a skin that is rebuilt only when atoms have moved."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from vesin import NeighborList

from distill.errors import DistillError

CLOSEST = 0.3
"""Å; atoms nearer than this are a mistake in the input, not chemistry. LAMMPS' plugin has the
same number, and the kernel."""

FARTHEST = 1e5
"""Å; along a direction without images, atoms farther apart end the process in vesin, which counts
its cells in 32 bits (in a slab they take it minutes, before)."""
FARTHEST_IN_SLAB = 1e4
OUTERMOST = 1e8
"""Å; coordinates and cells beyond that have no digits left for a bond."""

Edges = tuple[NDArray[np.int64], NDArray[np.float64]]


INPUTS = ("positions", "numbers", "edge_index", "edge_shift")
"""Of an exported student, by name."""
Inputs = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]


def exported_inputs(
    positions: NDArray[np.float64], numbers: ArrayLike, edges: Edges, cutoff: float
) -> Inputs:
    """What an exported student takes, in the order of INPUTS: of the edges, those that count.
    All are dense, as AOTInductor's files want them."""
    edge_index, shift = edges
    vectors = positions[edge_index[1]] + shift - positions[edge_index[0]]
    near = (vectors**2).sum(1) < cutoff**2
    return (
        np.ascontiguousarray(positions, dtype=np.float32),
        np.ascontiguousarray(numbers, dtype=np.int64),
        np.ascontiguousarray(edge_index[:, near]),
        np.ascontiguousarray(shift[near], dtype=np.float32),
    )


def refuse_overlap(positions: NDArray[np.float64], edges: Edges) -> None:
    """DistillError for two atoms on top of each other, of positions (N, 3) in Å."""
    index, shift = edges
    if index.shape[1] == 0:
        return
    squares = ((positions[index[1]] + shift - positions[index[0]]) ** 2).sum(1)
    nearest = int(squares.argmin())
    refuse_if_close(float(squares[nearest]) ** 0.5, *index[:, nearest].tolist())


def refuse_if_close(distance: float, i: int, j: int) -> None:
    """DistillError for atoms i and j on top of each other, at a distance in Å."""
    if distance < CLOSEST:
        raise DistillError(
            f"Atoms {min(i, j)} and {max(i, j)} are {distance:.2f} Å apart; "
            "mend the geometry, where two atoms overlap."
        )


def neighbour_list(
    positions: ArrayLike, cell: ArrayLike | None, pbc: ArrayLike, cutoff: float
) -> Edges:
    """All directed edges within the cutoff, also across periodic boundaries.

    positions (N, 3), cell (3, 3) with rows as vectors (or None), in Å; pbc (3,) or one bool. The
    cell may be triclinic and smaller than the cutoff. Returns edge_index (2, E), sorted by centre,
    and edge_shift (E, 3) in Å (see ``Student``).

    Raises DistillError for coordinates that are not finite or absurdly large, and for a periodic
    direction whose cell vector is missing, or so short that an atom would overlap its own image.
    """
    positions = np.ascontiguousarray(positions, dtype=np.float64)
    periodic = np.broadcast_to(np.asarray(pbc, dtype=bool), (3,))
    if len(positions) == 0:
        return np.zeros((2, 0), dtype=np.int64), np.zeros((0, 3))
    box = np.zeros((3, 3)) if cell is None else np.asarray(cell, dtype=np.float64)
    if not np.isfinite(positions).all():
        atom = int(np.flatnonzero(~np.isfinite(positions).all(1))[0])
        raise DistillError(
            f"Atom {atom} has a coordinate that is NaN or infinite; look at how it came about."
        )
    # vesin divides by zero here, which ends the process
    vectors = box[periodic]
    if periodic.any() and (
        not np.isfinite(vectors).all() or np.linalg.matrix_rank(vectors) < periodic.sum()
    ):
        raise DistillError(
            "The system is periodic along a direction without a cell vector (or the vectors lie in "
            "one plane); set the cell, or switch the periodicity off."
        )
    _check_extent(positions, box, periodic)
    i, j, images = NeighborList(cutoff=cutoff, full_list=True, sorted=True).compute(
        points=positions, box=box, periodic=periodic, quantities="ijS"
    )
    edge_index = np.stack([i, j]).astype(np.int64)
    return edge_index, images.astype(np.float64) @ box


def _check_extent(
    positions: NDArray[np.float64], box: NDArray[np.float64], periodic: NDArray[np.bool_]
) -> None:
    """Refuses what vesin would not return from."""
    if not (np.abs(positions).max() < OUTERMOST and np.abs(box).max() < OUTERMOST):
        raise DistillError(
            f"A coordinate or a cell vector is larger than {OUTERMOST:g} Å; look at how it came "
            "about."
        )
    if periodic.any():
        heights = 1.0 / np.linalg.norm(np.linalg.pinv(box[periodic]), axis=0)
        if heights.min() < CLOSEST:
            raise DistillError(
                f"The cell is {heights.min():.2g} Å thin, so that every atom overlaps with its own "
                "image; set the cell, in Å, or switch the periodicity off."
            )
    if not periodic.all():
        spread = float(np.ptp(positions, axis=0).max())
        if spread > (FARTHEST_IN_SLAB if periodic.any() else FARTHEST):
            raise DistillError(
                f"Two atoms are {spread:.3g} Å apart; one has flown away, or the positions are not "
                "in Å."
            )


class SkinList:
    """A neighbour list for MD: built with cutoff + skin, kept until it might miss a pair.

    That is when an atom has moved more than half the skin since, or the cell has changed, or the
    number of atoms.
    """

    def __init__(self, cutoff: float, skin: float = 1.0):
        self.cutoff = cutoff
        self.skin = skin
        self.rebuilds = 0
        self._built_for: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]] | None
        self._built_for = None
        self._edges: Edges

    @property
    def edges(self) -> Edges:
        """What the last update has returned."""
        return self._edges

    def update(self, positions: ArrayLike, cell: ArrayLike | None, pbc: ArrayLike) -> Edges:
        """Edges that hold all pairs within the cutoff (and some beyond it, which count nothing)."""
        positions = np.array(positions, dtype=np.float64)
        box = np.zeros((3, 3)) if cell is None else np.array(cell, dtype=np.float64)
        periodic = np.array(np.broadcast_to(np.asarray(pbc, dtype=bool), (3,)))
        if not self._still_good(positions, box, periodic):
            self._edges = neighbour_list(positions, box, periodic, self.cutoff + self.skin)
            self._built_for = (positions, box, periodic)
            self.rebuilds += 1
        return self._edges

    def _still_good(
        self, positions: NDArray[np.float64], box: NDArray[np.float64], pbc: NDArray[np.bool_]
    ) -> bool:
        if self._built_for is None:
            return False
        old_positions, old_box, old_pbc = self._built_for
        if positions.shape != old_positions.shape or not np.array_equal(pbc, old_pbc):
            return False
        if not np.array_equal(box, old_box):
            return False
        moved = positions - old_positions
        # NaN compares as moved, so that a broken run is not answered with an old list
        return bool((moved * moved).sum(-1).max(initial=0.0) <= (0.5 * self.skin) ** 2)
