"""Students of every size with random weights in float64, and small systems to try them on."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule

from distill.student import SIZES, Student
from distill.student.neighbours import neighbour_list

Answer = tuple[np.ndarray, np.ndarray, np.ndarray]


def random_student(size: str) -> Student:
    student = Student.untrained(size, seed=3).double().eval()
    # nonzero and of the size that real ones have
    student.reference.copy_(torch.linspace(-15.0, -7000.0, len(student.reference)))
    return student


@pytest.fixture(params=SIZES)
def student(request: pytest.FixtureRequest) -> Student:
    return random_student(request.param)


@pytest.fixture
def ethanol(rng: np.random.Generator) -> Atoms:
    atoms = molecule("CH3CH2OH")
    atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
    return atoms


@pytest.fixture
def crystal(rng: np.random.Generator) -> Atoms:
    """Five atoms in a triclinic cell that is smaller than the cutoff."""
    cell = [[4.0, 0.0, 0.0], [1.3, 3.8, 0.0], [-0.9, 0.7, 4.3]]
    fractional = [[0, 0, 0], [0.3, 0.1, 0.0], [0.5, 0.5, 0.5], [0.8, 0.4, 0.7], [0.1, 0.7, 0.3]]
    atoms = Atoms("COHNH", scaled_positions=fractional, cell=cell, pbc=True)
    atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
    return atoms


@pytest.fixture
def answer() -> Callable[..., Answer]:
    """answer(student, atoms, reach): energies, forces and virial with a list of that reach."""

    def evaluate(student: Student, atoms: Atoms, reach: float | None = None) -> Answer:
        edge_index, edge_shift = neighbour_list(
            atoms.positions, atoms.cell.array, atoms.pbc, reach or student.cutoff
        )
        result = student.evaluate(
            torch.tensor(atoms.positions),
            torch.tensor(atoms.numbers),
            torch.tensor(edge_index),
            torch.tensor(edge_shift),
        )
        return tuple(part.numpy() for part in result)

    return evaluate
