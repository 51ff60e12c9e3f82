"""The distance from the training set: by hand, through kernel and torch, in a file, in ASE."""

import copy
import warnings

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from scipy.spatial.distance import mahalanobis
from scipy.stats import spearmanr

from distill.errors import DistillError
from distill.kernels import KernelStudent
from distill.student import Student, load_student, save_student
from distill.student.latent import Alarm, last_scalars
from distill.student.neighbours import neighbour_list
from distill.train.graphs import Graph
from distill.train.latent import fit_latent, fit_power
from distill_ase import StudentCalculator

NAMES = ("CH3CH2OH", "CH3OCH3", "CH3COOH", "CH3CONH2", "C2H6", "H2O")


def graphs(student: Student, seed: int, count: int) -> list[Graph]:
    """Rattled molecules without bromine; labels of another student, so that errors are not zero."""
    other, found = StudentCalculator("tiny"), []
    for k in range(count):
        atoms = molecule(NAMES[k % len(NAMES)])
        atoms.rattle(0.02 + 0.04 * (k % 4), seed=seed + k)
        atoms.calc = other
        edges, _ = neighbour_list(atoms.positions, None, False, student.cutoff)
        found.append(Graph(atoms.numbers, atoms.positions, edges, None, 0.0, atoms.get_forces()))
    return found


@pytest.fixture(scope="module")
def student() -> Student:
    found = load_student("ultra-tiny")
    found.latent = fit_latent(found, graphs(found, 0, 60), graphs(found, 1000, 40))
    return found


def scalars(student: Student, atoms: Atoms) -> np.ndarray:
    edges, shift = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, student.cutoff)
    with last_scalars(student) as found:
        student.evaluate(*map(torch.from_numpy, (atoms.positions, atoms.numbers, edges, shift)))
    return found[0].double().numpy()


def ethanol(width: float, seed: int = 7) -> Atoms:
    atoms = molecule("CH3CH2OH")
    atoms.rattle(width, seed=seed)
    return atoms


def test_distances_are_mahalanobis(student: Student) -> None:
    seen = [(scalars(student, Atoms(g.numbers, g.positions)), g.numbers)
            for g in graphs(student, 0, 60)]  # fmt: skip
    rows, numbers = (np.concatenate(part) for part in zip(*seen))
    means = {z: rows[numbers == z].mean(0) for z in np.unique(numbers)}
    away = np.array([row - means[z] for row, z in zip(rows, numbers)])
    covariance = away.T @ away / len(away)
    covariance += 1e-3 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    inverse = np.linalg.inv(covariance)
    atoms = ethanol(0.1)
    here = scalars(student, atoms)
    expected = [
        mahalanobis(row, means[z], inverse) / len(row) ** 0.5 for row, z in zip(here, atoms.numbers)
    ]
    found = KernelStudent(student, "float64").evaluate(atoms.positions, atoms.numbers).distances
    # the scalars are float32's
    assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("size", ["ultra-tiny", "tiny", "original"])
def test_kernel_and_torch_agree(size: str) -> None:
    student = load_student(size)
    student.latent = fit_latent(student, graphs(student, 0, 12), graphs(student, 1000, 12))
    atoms = ethanol(0.1)
    answers = []
    for options in ({}, {"backend": "torch"}, {"dtype": "float64"}):
        atoms.calc = StudentCalculator(student, **options)
        atoms.get_forces()
        answers.append(atoms.calc.results["uncertainties"])
    for answer in answers[:2]:
        assert answer == pytest.approx(answers[2], rel=1e-3)


def test_threads_orders_and_edges(student: Student) -> None:
    """Distances follow their atoms, however the kernel sorts them."""
    atoms = ethanol(0.1).repeat(1)
    atoms.set_cell([8.0, 8.0, 8.0])
    atoms.pbc = True
    many = atoms.repeat((3, 3, 2))
    cell = many.cell.array
    one = KernelStudent(student).evaluate(many.positions, many.numbers, cell, True).distances
    kernel = KernelStudent(student, threads=2)
    two = kernel.evaluate(many.positions, many.numbers, cell, True).distances
    edges, shift = neighbour_list(many.positions, cell, True, student.cutoff)
    from_edges = kernel.evaluate_edges(many.positions, many.numbers, edges, shift).distances
    copies = one.reshape(18, -1)
    assert copies == pytest.approx(np.broadcast_to(copies[0], copies.shape), rel=1e-3)
    assert two == pytest.approx(one, rel=1e-3)
    assert from_edges == pytest.approx(one, rel=1e-3)


def test_a_file_keeps_it(student: Student, tmp_path) -> None:
    save_student(student, tmp_path / "a.safetensors")
    again = load_student(tmp_path / "a.safetensors")
    assert again.latent is not None and student.latent is not None
    first, second = (latent.fields() for latent in (again.latent, student.latent))
    assert first.pop("environments") == second.pop("environments")
    assert first == pytest.approx(second)
    atoms = ethanol(0.1)
    first, second = (
        KernelStudent(s).evaluate(atoms.positions, atoms.numbers).distances
        for s in (student, again)
    )
    assert first == pytest.approx(second, rel=1e-3)
    save_student(again, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_it_ranks_errors(student: Student) -> None:
    others = graphs(student, 5000, 48)
    kernel = KernelStudent(student)
    assert student.latent is not None
    expected, actual = [], []
    for g in others:
        answer = kernel.evaluate(g.positions, g.numbers)
        assert answer.distances is not None
        expected.append(np.sqrt((student.latent.errors(answer.distances) ** 2).mean()))
        actual.append(np.sqrt(((answer.forces - g.forces) ** 2).sum(1).mean()))
    assert spearmanr(expected, actual).statistic > 0.5
    assert 0.5 < np.median(np.array(expected) / np.array(actual)) < 2.0


@pytest.mark.parametrize("factor", [0.6, 1.5])
def test_nonsense_is_flagged(student: Student, factor: float) -> None:
    calculator = StudentCalculator(student)
    atoms = ethanol(0.02)
    atoms.calc = calculator
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        atoms.get_forces()
    usual = calculator.results["uncertainty"]
    atoms.positions *= factor
    with pytest.warns(UserWarning, match="unlike all that the student has learned"):
        atoms.get_forces()
    assert calculator.results["uncertainty"] > 3 * usual
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        atoms.rattle(0.1)
        atoms.get_forces()


def test_the_alarm_counts(student: Student) -> None:
    """One geometry in four is strange, by its third atom, and sometimes by its first."""
    assert student.latent is not None
    alarm, limit, numbers = Alarm(student.latent), student.latent.limit, np.array([8, 1, 7])
    rung = []
    for k in range(1, 481):
        distances = np.full(3, 0.5 * limit)
        if k % 4 == 0:
            distances[2] = 2.0 * limit
        if k % 16 == 0:
            distances[0] = np.nan
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            alarm(distances, numbers)
        rung += [(k, str(found.message)) for found in caught]
    assert [k for k, _ in rung] == [4, 40, 400]
    assert "1 of 3 atoms are unlike all that the student has learned: 2 (N)." in rung[0][1]
    assert "100 of 400 geometries have such an atom, mostly 2 (N)." in rung[2][1]
    assert (alarm.looked, alarm.strange) == (480, 120)
    assert alarm.atoms == {"2 (N)": 120, "0 (O)": 30}


def test_an_element_that_was_not_trained_on(student: Student) -> None:
    atoms = molecule("CH3Cl")
    atoms.calc = StudentCalculator(student)
    with pytest.warns(UserWarning, match=r"1 \(Cl, bonded to C\)"):
        atoms.get_forces()
    assert np.isinf(atoms.calc.results["uncertainty"])


def test_a_student_that_cannot_tell() -> None:
    atoms = ethanol(0.1)
    atoms.calc = StudentCalculator(Student.untrained("ultra-tiny"))
    atoms.get_forces()
    assert "uncertainty" not in atoms.calc.results


def test_training_forgets_it(student: Student, tmp_path) -> None:
    from distill.train.config import TrainConfig
    from distill.train.train import train

    some = graphs(student, 0, 6)
    trained = train(
        copy.deepcopy(student), some, some, tmp_path, TrainConfig(steps=2), progress=False
    )
    assert trained.latent is None


def test_nothing_to_fit(student: Student) -> None:
    with pytest.raises(DistillError, match="set aside"):
        fit_latent(student, graphs(student, 0, 3), [])


def test_one_geometry_tells_nothing_of_others(student: Student) -> None:
    atom, nowhere = np.array([8]), np.zeros((1, 3))
    alone = Graph.build(atom, nowhere, -1.0, nowhere, student.cutoff)
    assert fit_latent(student, [alone] * 3, [alone] * 2) is None


def test_power_law() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 4.0, 4000)
    scale, power = fit_power(x, 0.3 * x**1.7 * rng.uniform(0.5, 1.5, 4000))
    assert scale == pytest.approx(0.3, rel=0.05) and power == pytest.approx(1.7, abs=0.05)
