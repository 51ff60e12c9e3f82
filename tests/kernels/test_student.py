"""The fused kernel against the float64 student in eager torch, and against finite differences."""

import copy
import os
import pickle
import signal
from collections.abc import Callable

import numpy as np
import pytest
import torch
from ase import Atoms

from distill.errors import DistillError
from distill.kernels import KernelStudent
from distill.student import SIZES, Student, load_student
from distill.student.config import StudentConfig
from distill.student.neighbours import neighbour_list

from .conftest import Answer, crowd, liquid

Reference = Callable[[Student, Atoms], Answer]


def test_every_system_agrees_with_float64(
    student: Student, systems: dict[str, Atoms], reference: Reference
) -> None:
    single, double = KernelStudent(student), KernelStudent(student, "float64")
    for name, atoms in systems.items():
        expected = reference(student, atoms)
        for kernel, energy, force in ((single, 2e-6, 2e-5), (double, 1e-9, 1e-8)):
            found = kernel.evaluate(atoms.positions, atoms.numbers, atoms.cell.array, atoms.pbc)
            assert abs(found.energies - expected[0]).max() < 5 * energy, name
            assert abs(found.energies.sum() - expected[0].sum()) / len(atoms) < energy, name
            assert abs(found.forces - expected[1]).max() < force, name
            assert abs(found.virial - expected[2]).max() < force * len(atoms), name


@pytest.mark.parametrize("distance", [0.1, 0.35, 0.55, 0.62])
def test_atoms_that_overlap(
    student: Student, distance: float, systems: dict[str, Atoms], reference: Reference
) -> None:
    """Nearer than any data: filters are held there, and only the repulsion grows."""
    atoms = systems["drug"].copy()
    along = atoms.positions[5] - atoms.positions[0]
    atoms.positions[5] = atoms.positions[0] + along * distance / np.linalg.norm(along)
    expected = reference(student, atoms)
    assert np.abs(expected[1]).max() > 10.0
    found = KernelStudent(student, "float64").evaluate(atoms.positions, atoms.numbers)
    assert found.energies.sum() == pytest.approx(expected[0].sum(), abs=1e-5)
    np.testing.assert_allclose(found.forces, expected[1], rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_an_atom_with_200_neighbours(
    size: str, rng: np.random.Generator, reference: Reference
) -> None:
    """Random weights, small enough for forces as in a molecule: trained ones have never seen such a
    crowd, and answer with infinities."""
    student = Student.untrained(size, seed=2).double().eval().requires_grad_(False)
    for parameter in student.parameters():
        parameter *= 0.6
    atoms = crowd(rng)
    expected = reference(student, atoms)
    assert 1.0 < np.abs(expected[1]).max() < 100.0
    for dtype, energy, force in (("float32", 2e-6, 2e-5), ("float64", 1e-9, 1e-8)):
        found = KernelStudent(student, dtype).evaluate(atoms.positions, atoms.numbers)
        assert abs(found.energies.sum() - expected[0].sum()) / len(atoms) < energy
        assert abs(found.forces - expected[1]).max() < force


def test_every_instruction_set_agrees(
    isa: str, student: Student, systems: dict[str, Atoms], reference: Reference
) -> None:
    atoms = systems["liquid"]
    expected = reference(student, atoms)
    for dtype, force in (("float32", 2e-5), ("float64", 1e-8)):
        kernel = KernelStudent(student, dtype)
        found = kernel.evaluate(atoms.positions, atoms.numbers, atoms.cell.array, atoms.pbc)
        assert abs(found.forces - expected[1]).max() < force, isa


@pytest.mark.parametrize(
    "config",
    [
        StudentConfig("odd", hidden=16, layers=1, n_radial=4),
        StudentConfig("odd", hidden=48, layers=4, n_radial=7, cutoff=4.0),
        StudentConfig("odd", hidden=80, layers=2, n_radial=12, elements=(8, 1, 6)),
    ],
)
def test_other_architectures(
    config: StudentConfig, rng: np.random.Generator, reference: Reference
) -> None:
    torch.manual_seed(1)
    student = Student(config).double().eval().requires_grad_(False)
    atoms = liquid(rng, side=2)
    expected = reference(student, atoms)
    for dtype, force in (("float32", 2e-5), ("float64", 1e-8)):
        kernel = KernelStudent(student, dtype)
        found = kernel.evaluate(atoms.positions, atoms.numbers, atoms.cell.array, atoms.pbc)
        scale = max(1.0, np.abs(expected[1]).max() / 50.0)
        assert abs(found.forces - expected[1]).max() < force * scale


def test_forces_and_virial_are_derivatives_of_its_own_energy(
    student: Student, rng: np.random.Generator
) -> None:
    kernel = KernelStudent(student, "float64", intervals=192)  # the splines of float32
    atoms = liquid(rng, side=1, cell=np.diag([4.1, 4.4, 3.9]))
    atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)

    def energy(positions: np.ndarray, cell: np.ndarray) -> float:
        return float(kernel.evaluate(positions, atoms.numbers, cell, True).energies.sum())

    x, cell, h = atoms.positions, atoms.cell.array, 1e-4
    found = kernel.evaluate(x, atoms.numbers, cell, True)
    for i, d in [(0, 0), (1, 2), (2, 1)]:
        step = np.zeros_like(x)
        step[i, d] = h
        numerical = -(energy(x + step, cell) - energy(x - step, cell)) / (2 * h)
        assert found.forces[i, d] == pytest.approx(numerical, rel=1e-5, abs=1e-6)
    for a, b in [(0, 0), (1, 2), (2, 0)]:
        strain = np.zeros((3, 3))
        strain[a, b] = h
        up, down = np.eye(3) + strain, np.eye(3) - strain
        numerical = (energy(x @ up, cell @ up) - energy(x @ down, cell @ down)) / (2 * h)
        assert found.virial[b, a] == pytest.approx(numerical, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_change_nothing_but_rounding(
    tiny: Student, rng: np.random.Generator, dtype: str
) -> None:
    atoms = liquid(rng, side=6)  # 973 atoms
    arguments = atoms.positions, atoms.numbers, atoms.cell.array, True
    one = KernelStudent(tiny, dtype).evaluate(*arguments)
    three = KernelStudent(tiny, dtype, threads=3).evaluate(*arguments)
    tolerance = 1e-10 if dtype == "float64" else 2e-5
    assert abs(one.forces - three.forces).max() < tolerance
    assert abs(one.virial - three.virial).max() < tolerance * len(atoms)
    assert abs(one.energies - three.energies).max() < tolerance


def test_threads_after_a_fork(tiny: Student, rng: np.random.Generator) -> None:
    """A forked process (multiprocessing, a DataLoader) has none of its parent's threads."""
    atoms = liquid(rng, side=4)
    assert len(atoms) >= 2 * 64, "too few for two threads"
    kernel = KernelStudent(tiny, threads=2)
    before = kernel.evaluate(atoms.positions, atoms.numbers, atoms.cell.array, atoms.pbc)
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # ends the child if it waits for a thread that is not there
        again = kernel.evaluate(atoms.positions, atoms.numbers, atoms.cell.array, atoms.pbc)
        os._exit(0 if np.array_equal(again.forces, before.forces) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_every_step_of_a_walk(
    tiny: Student, rng: np.random.Generator, reference: Reference
) -> None:
    """The list is kept while it is good, also when the box or the elements change."""
    kernel = KernelStudent(tiny, "float64", skin=0.6)
    atoms = liquid(rng, side=2)
    for step in range(30):
        atoms.positions += rng.normal(0, 0.03, atoms.positions.shape)
        if step == 10:
            atoms.set_cell(atoms.cell.array * 1.01)
        if step == 20:
            atoms.numbers[:3] = 7
        found = kernel.evaluate(atoms.positions, atoms.numbers, atoms.cell.array, atoms.pbc)
        assert abs(found.forces - reference(tiny, atoms)[1]).max() < 1e-8
    assert 2 < kernel.rebuilds < 25


def test_pairs_from_outside(
    student: Student, systems: dict[str, Atoms], reference: Reference, rng: np.random.Generator
) -> None:
    kernel = KernelStudent(student, "float64")
    for name in ("drug", "liquid", "a cell smaller than the cutoff", "one atom"):
        atoms = systems[name]
        edges, shift = neighbour_list(
            atoms.positions, atoms.cell.array, atoms.pbc, student.cutoff + 0.5
        )
        order = rng.permutation(edges.shape[1])  # any order, and some beyond the cutoff
        found = kernel.evaluate_edges(atoms.positions, atoms.numbers, edges[:, order], shift[order])
        assert abs(found.forces - reference(student, atoms)[1]).max() < 1e-8
        assert abs(found.energies - reference(student, atoms)[0]).max() < 1e-9


def test_weights_of_atoms_energies(tiny: Student, systems: dict[str, Atoms]) -> None:
    """What LAMMPS' ghost atoms need: forces of the owned atoms' energies alone."""
    atoms = systems["drug"]
    edges, shift = neighbour_list(atoms.positions, None, False, tiny.cutoff)
    weights = np.zeros(len(atoms))
    weights[:7] = 1.0
    found = KernelStudent(tiny, "float64").evaluate_edges(
        atoms.positions, atoms.numbers, edges, None, weights
    )
    x = torch.tensor(atoms.positions, requires_grad=True)
    energies = tiny.atomic_energies(
        x, torch.tensor(atoms.numbers), torch.tensor(edges), torch.tensor(shift)
    )
    (slope,) = torch.autograd.grad(energies[:7].sum(), x)
    assert abs(found.forces + slope.numpy()).max() < 1e-8


def test_closest_atoms(tiny: Student) -> None:
    kernel = KernelStudent(tiny)
    x = np.array([[0.0, 0, 0], [1.0, 0, 0], [1.0, 0.8, 0], [9.0, 0, 0]])
    distance, i, j = kernel.evaluate(x, [6, 1, 1, 8]).closest
    assert distance == pytest.approx(0.8) and {i, j} == {1, 2}


def test_copies_have_lists_of_their_own(tiny: Student, systems: dict[str, Atoms]) -> None:
    kernel, atoms = KernelStudent(tiny), systems["drug"]
    expected = kernel.evaluate(atoms.positions, atoms.numbers).forces
    for other in (copy.copy(kernel), copy.deepcopy(kernel), pickle.loads(pickle.dumps(kernel))):
        assert other.list != kernel.list
        assert (other.evaluate(atoms.positions, atoms.numbers).forces == expected).all()


def test_nothing_at_all(tiny: Student) -> None:
    found = KernelStudent(tiny).evaluate(np.zeros((0, 3)), [])
    assert found.forces.shape == (0, 3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((np.zeros((2, 3)), [6, 92]), "does not know the element with atomic number 92"),
        ((np.array([[0, 0, 0], [0, 0, np.nan]]), [6, 6]), "Atom 1 has a coordinate that is NaN"),
        ((np.zeros((3, 3)), [6, 6]), r"positions are \(3, 3\)"),
        ((np.eye(3)[:2], [6, 6], np.diag([5.0, 5.0, 0.0]), True), "without a cell vector"),
        ((np.eye(3)[:2], [6, 6], np.ones((3, 3)), True), "lie in one plane"),
    ],
)
def test_bad_input(tiny: Student, arguments: tuple, sentence: str) -> None:
    with pytest.raises(DistillError, match=sentence):
        KernelStudent(tiny).evaluate(*arguments)


def test_edges_that_are_wrong(tiny: Student) -> None:
    kernel = KernelStudent(tiny)
    with pytest.raises(DistillError, match="names an atom that is not there"):
        kernel.evaluate_edges(np.eye(3), [1, 1, 1], [[0, 3], [3, 0]])
    with pytest.raises(DistillError, match="edge_shift"):
        kernel.evaluate_edges(np.eye(3), [1, 1, 1], [[0, 1], [1, 0]], np.zeros((1, 3)))


def test_precision_must_be_known() -> None:
    with pytest.raises(DistillError, match="'float32' or 'float64'"):
        KernelStudent(load_student("tiny"), "float16")
