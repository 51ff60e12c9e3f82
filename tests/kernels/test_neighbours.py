"""The kernel's neighbour list against vesin's."""

import numpy as np
import pytest
import torch

from distill.errors import DistillError
from distill.kernels.student import kernel_neighbours
from distill.student.neighbours import neighbour_list
from distill_openmm.neighbours import image_shifts

TRICLINIC = np.array([[7.0, 0.3, 0.0], [2.5, 6.1, 0.2], [-3.1, 1.3, 8.0]])


def rows(edges: np.ndarray, shift: np.ndarray) -> set[tuple]:
    """Edges as a set; none is there twice."""
    found = [
        (int(i), int(j), *(round(float(x), 6) + 0.0 for x in s))
        for (i, j), s in zip(edges.T, shift)
    ]
    assert len(set(found)) == len(found)
    return set(found)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("cutoff", [2.0, 5.0, 9.0])
@pytest.mark.parametrize(
    ("n", "cell", "pbc"),
    [
        (60, None, False),
        (700, None, False),
        (90, TRICLINIC, True),
        (90, 3.0 * TRICLINIC, True),
        (5, 0.4 * TRICLINIC, True),
        (60, 2.0 * TRICLINIC, (True, True, False)),
        (60, np.diag([8.0, 0.0, 0.0]), (True, False, False)),
        (60, np.array([[0, 0, 0], [1.0, 9.0, 2.0], [0, 0, 0]]), (False, True, False)),
    ],
)
def test_equals_vesin(n, cell, pbc, cutoff, threads, rng) -> None:
    if n == 700 and cutoff > 5.0:
        n = 500  # the same code, fewer pairs
    positions = rng.uniform(-6, 14, size=(n, 3)) * (n / 60) ** (1 / 3)
    expected = neighbour_list(positions, cell, pbc, cutoff)
    found = kernel_neighbours(positions, cell, pbc, cutoff, threads)
    assert rows(*found) == rows(*expected)


def test_atoms_far_outside_the_box(rng) -> None:
    positions = rng.uniform(-500, 500, size=(40, 3))
    expected = neighbour_list(positions, TRICLINIC, True, 4.0)
    assert rows(*kernel_neighbours(positions, TRICLINIC, True, 4.0)) == rows(*expected)


@pytest.mark.parametrize("thin", [1e-3, 0.29])
@pytest.mark.parametrize("other", [0.25, 30.0])
def test_cells_too_thin_for_an_atom(thin, other) -> None:
    """As many images as reach over height, to the third power, would never end."""
    box = np.diag([thin, max(thin, other), other])
    for find in (neighbour_list, kernel_neighbours):
        with pytest.raises(DistillError, match=r"The cell is 0\.\d+ Å thin"):
            find(np.zeros((2, 3)), box, True, 6.0)
    with pytest.raises(RuntimeError, match="thinner than 0.3 Å"):
        image_shifts(torch.linalg.inv(torch.tensor(box)), 6.0)


def test_cells_that_are_no_numbers() -> None:
    box = np.diag([np.nan, 30, 30])
    for find in (neighbour_list, kernel_neighbours):
        with pytest.raises(DistillError, match="set the cell"):
            find(np.zeros((2, 3)), box, True, 6.0)
