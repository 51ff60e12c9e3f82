"""Neighbour lists, against distances computed one by one."""

import itertools

import numpy as np
import pytest

from distill import DistillError
from distill.student.neighbours import SkinList, neighbour_list

CELLS = {
    "none": None,
    "cubic": np.eye(3) * 12.0,
    "triclinic": np.array([[9.0, 0.0, 0.0], [-3.5, 8.0, 0.0], [2.0, 3.9, 7.0]]),
    "left-handed": np.array([[0.0, 8.0, 1.0], [9.0, 0.0, 0.0], [0.0, 0.0, 7.0]]),
    "smaller than the cutoff": np.array([[3.0, 0.0, 0.0], [1.4, 2.9, 0.0], [-1.0, 1.2, 3.3]]),
}


def brute_force(positions, cell, pbc, cutoff):
    """A set of (i, j, vector rounded)."""
    found = set()
    reach = [range(-9, 10) if p else (0,) for p in pbc]
    for image in itertools.product(*reach):
        shift = np.zeros(3) if cell is None else image @ cell
        vectors = positions[None] + shift - positions[:, None]
        distance = np.linalg.norm(vectors, axis=-1)
        if image == (0, 0, 0):
            np.fill_diagonal(distance, np.inf)
        for i, j in zip(*np.nonzero(distance < cutoff), strict=True):
            found.add((int(i), int(j), *np.round(vectors[i, j], 6) + 0.0))
    return found


def as_set(positions, edges):
    (i, j), shift = edges
    vectors = np.round(positions[j] + shift - positions[i], 6) + 0.0
    rows = [(int(a), int(b), *v) for a, b, v in zip(i, j, vectors, strict=True)]
    assert len(set(rows)) == len(rows), "an edge is listed twice"
    return set(rows)


@pytest.mark.parametrize("cell", CELLS)
def test_vesin_equals_brute_force(cell, rng):
    box = CELLS[cell]
    pbc = np.full(3, box is not None)
    # outside the cell too: MD does not wrap
    positions = rng.uniform(-6.0, 12.0, size=(14, 3))
    edges = neighbour_list(positions, box, pbc, 5.0)
    assert edges[0].dtype == np.int64 and edges[1].dtype == np.float64
    assert np.all(np.diff(edges[0][0]) >= 0)
    assert as_set(positions, edges) == brute_force(positions, box, pbc, 5.0)


@pytest.mark.parametrize("pbc", [(True, False, False), (False, True, True)])
def test_partly_periodic(pbc, rng):
    box, positions = CELLS["triclinic"], rng.uniform(0.0, 8.0, size=(12, 3))
    edges = neighbour_list(positions, box, pbc, 5.0)
    assert as_set(positions, edges) == brute_force(positions, box, pbc, 5.0)


def test_a_slab_needs_no_third_cell_vector(rng):
    box = np.array([[6.0, 0.0, 0.0], [2.0, 6.0, 0.0], [0.0, 0.0, 0.0]])
    positions = rng.uniform(0.0, 6.0, size=(8, 3))
    edges = neighbour_list(positions, box, (True, True, False), 5.0)
    assert as_set(positions, edges) == brute_force(positions, box, (True, True, False), 5.0)


def test_nobody_there():
    for positions in (np.zeros((0, 3)), np.zeros((1, 3))):
        index, shift = neighbour_list(positions, None, False, 5.0)
        assert index.shape == (2, 0) and shift.shape == (0, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_coordinates_that_are_not_finite_are_refused(value):
    with pytest.raises(DistillError, match="Atom 1 has a coordinate"):
        neighbour_list([[0.0, 0.0, 0.0], [0.0, value, 0.0]], None, False, 5.0)


@pytest.mark.parametrize(
    "cell", [None, np.diag([5.0, 5.0, 0.0]), np.array([[5.0, 0, 0], [0, 5.0, 0], [5.0, 5.0, 0]])]
)
def test_periodic_without_a_cell_is_refused(cell):
    with pytest.raises(DistillError, match="periodic along a direction without"):
        neighbour_list(np.eye(3), cell, True, 5.0)


@pytest.mark.parametrize("cell", CELLS)
def test_the_skin_list_misses_nothing_on_a_random_walk(cell, rng):
    box = CELLS[cell]
    pbc = box is not None
    positions = rng.uniform(0.0, 9.0, size=(12, 3))
    listed = SkinList(4.0, skin=1.0)
    steps = 60
    for _ in range(steps):
        positions += rng.normal(scale=0.03, size=positions.shape)
        has = as_set(positions, listed.update(positions, box, pbc))
        assert has >= as_set(positions, neighbour_list(positions, box, pbc, 4.0))
    assert 1 < listed.rebuilds < steps / 4


def test_the_skin_list_is_rebuilt_when_it_must_be(rng):
    positions = rng.uniform(0.0, 9.0, size=(12, 3))
    box = CELLS["cubic"]
    listed = SkinList(4.0, skin=1.0)
    calls = [
        (positions, box, True, 1),
        (positions, box, True, 1),
        (positions + [0.49, 0.0, 0.0], box, True, 1),
        (positions + [0.51, 0.0, 0.0], box, True, 2),
        (positions + [0.51, 0.0, 0.0], box * 1.001, True, 3),
        (positions + [0.51, 0.0, 0.0], box * 1.001, (True, True, False), 4),
        (positions[:5], None, False, 5),
    ]
    for where, cell, pbc, rebuilds in calls:
        listed.update(where, cell, pbc)
        assert listed.rebuilds == rebuilds


def test_the_skin_list_does_not_look_at_positions_changed_in_place(rng):
    positions = rng.uniform(0.0, 5.0, size=(6, 3))
    listed = SkinList(4.0)
    listed.update(positions, None, False)
    positions += [[3.0, 0, 0]] + [[0, 0, 0]] * 5
    listed.update(positions, None, False)
    assert listed.rebuilds == 2


def test_nan_is_not_answered_with_an_old_list(rng):
    positions = rng.uniform(0.0, 5.0, size=(6, 3))
    listed = SkinList(4.0)
    listed.update(positions, None, False)
    positions[3] = np.nan
    with pytest.raises(DistillError, match="Atom 3"):
        listed.update(positions, None, False)


@pytest.mark.parametrize(
    "far, cell, pbc, match",
    [
        (1e6, None, False, "apart"),
        (1e6, np.diag([10.0, 10, 10]), [True, True, False], "apart"),
        (2e4, np.diag([10.0, 10, 0]), [True, True, False], "apart"),
        (1e300, None, False, "larger than"),
        (1e20, np.diag([10.0, 10, 10]), True, "larger than"),
        (1.0, np.diag([1e300, 1e300, 1e300]), True, "larger than"),
        (1.0, np.diag([10.0, 1e-6, 10]), True, "thin"),
        (1.0, np.array([[10.0, 0, 0], [10, 1e-3, 0], [0, 0, 10]]), True, "thin"),
    ],
)
def test_absurd_sizes_are_refused(far, cell, pbc, match):
    """vesin ends the process, or never returns."""
    positions = np.array([[0, 0, 0], [0, 0, 1.0], [0, 0, far]])
    with pytest.raises(DistillError, match=match):
        neighbour_list(positions, cell, pbc, 5.0)


def test_large_systems_are_not():
    line = np.array([[0, 0, 0], [0, 0, 1.0], [0, 0, 9e4]])
    assert neighbour_list(line, None, False, 5.0)[0].shape[1] == 2
    wide = neighbour_list(line, 1e6 * np.eye(3), True, 5.0)
    assert wide[0].shape[1] == 2
