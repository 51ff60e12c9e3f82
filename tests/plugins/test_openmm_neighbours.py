"""The neighbour list inside the TorchForce, against vesin's."""

import numpy as np
import pytest
import torch

from distill.student.neighbours import neighbour_list
from distill_openmm.neighbours import SkinNeighbours

BOXES = {
    "none": None,
    "large": np.diag([30.0, 32.0, 28.0]),
    "between one and two cutoffs": np.diag([7.0, 8.5, 9.9]),
    "triclinic": np.array([[14.0, 0, 0], [6.5, 12.5, 0], [-6.0, -5.5, 13.0]]),
    "smaller than the cutoff": np.array([[3.1, 0, 0], [1.4, 2.9, 0], [-1.5, 1.2, 3.6]]),
    "very flat": np.array([[20.0, 0, 0], [9.0, 2.5, 0], [0, 0, 20.0]]),
}


def as_set(edge_index, edge_shift):
    rows = (
        np.concatenate([np.asarray(edge_index).T, np.round(np.asarray(edge_shift), 5)], axis=1)
        + 0.0
    )
    found = {tuple(row) for row in rows}
    assert len(found) == len(rows), "an edge is listed twice"
    return found


@pytest.fixture
def scripted():
    return torch.jit.script(SkinNeighbours(5.0, 1.0))


@pytest.mark.parametrize("rows_at_once", [1, 7, 1 << 15])
@pytest.mark.parametrize("box", BOXES)
def test_equals_vesin(box, rows_at_once, rng):
    neighbours = SkinNeighbours(5.0, 1.0)
    neighbours.pairs_at_once = rows_at_once * 40
    scripted = torch.jit.script(neighbours)
    cell = BOXES[box]
    # far outside the box, too: molecules diffuse
    positions = rng.uniform(-25.0, 25.0, size=(40, 3)) * (0.5 if cell is None else 1.0)
    edges = scripted(torch.tensor(positions), None if cell is None else torch.tensor(cell))
    assert as_set(*edges) == as_set(*neighbour_list(positions, cell, cell is not None, 5.0))


@pytest.mark.parametrize("box", BOXES)
def test_a_random_walk(box, scripted, rng):
    """No pair is missed between rebuilds, and rebuilds are rare."""
    cell = BOXES[box]
    positions = rng.uniform(0.0, 12.0, size=(20, 3))
    steps = 50
    for _ in range(steps):
        positions += rng.normal(scale=0.03, size=positions.shape)
        edges = scripted(torch.tensor(positions), None if cell is None else torch.tensor(cell))
        assert as_set(*edges) == as_set(*neighbour_list(positions, cell, cell is not None, 5.0))
    assert 1 < scripted.rebuilds < steps / 4


def test_a_new_box_is_noticed(scripted, rng):
    positions = rng.uniform(0.0, 12.0, size=(20, 3))
    for scale in (1.0, 1.0, 0.9, 1.1):
        cell = BOXES["triclinic"] * scale
        edges = scripted(torch.tensor(positions), torch.tensor(cell))
        assert as_set(*edges) == as_set(*neighbour_list(positions, cell, True, 5.0))
    assert scripted.rebuilds == 3


def test_five_thousand_atoms(scripted, rng):
    """Built by rows: all 25 million pairs at once would be 600 MB for the vectors alone."""
    cell = np.eye(3) * 37.0
    positions = rng.uniform(0.0, 37.0, size=(5000, 3))
    edges = scripted(torch.tensor(positions), torch.tensor(cell))
    expected, _ = neighbour_list(positions, cell, True, 5.0)
    assert edges[0].shape == expected.shape
    counts = np.bincount(edges[0][0], minlength=5000)
    np.testing.assert_array_equal(counts, np.bincount(expected[0], minlength=5000))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_an_error(scripted, rng, value):
    positions = torch.tensor(rng.uniform(0.0, 12.0, size=(20, 3)))
    scripted(positions, None)
    positions[3, 1] = value
    with pytest.raises(torch.jit.Error, match="coordinate that is NaN"):
        scripted(positions, None)
