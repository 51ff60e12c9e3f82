"""MD of many replicas at once, and what the explorers make of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as ase_molecule
from scipy.spatial.distance import pdist, squareform

from distill.data.dataset import Dataset, MoleculeData, TeacherRecord, write
from distill.data.explore import Explorer, Explorers, first_geometries
from distill.data.molecules import Molecule, from_smiles
from distill.data.sampling import Frame, Sampling, sample
from distill.data.student_md import (
    STRAINS,
    _KernelForces,
    _TorchForces,
    bonded_pairs,
    intact,
    student_md,
)
from distill.data.walk import MANY, conformers, walk
from distill.errors import DistillError
from distill.student import Student, load_student, save_student
from distill.student.config import StudentConfig
from distill.teacher import TeacherSpec
from distill_ase import StudentCalculator


@pytest.fixture
def ethanol() -> Atoms:
    return ase_molecule("CH3CH2OH")


@pytest.fixture
def repulsive() -> Student:
    """No network, ZBL only: atoms fly apart, slowly."""
    student = Student(StudentConfig("test", hidden=16, layers=1, n_radial=4))
    for parameter in student.parameters():
        parameter.data.zero_()
    return student


@pytest.mark.parametrize("forces", [_KernelForces, _TorchForces])
def test_replicas_forces_equal_ase_one_by_one(
    forces: type, ethanol: Atoms, rng: np.random.Generator
) -> None:
    student = Student.untrained("ultra-tiny")
    geometries = ethanol.positions + rng.normal(0, 0.05, (3, len(ethanol), 3))
    batched = forces(student, ethanol.numbers, 3)
    for shift in (0.0, 0.02, 0.9):  # the list kept, and built anew
        moved = geometries + shift * rng.normal(0, 1, geometries.shape).clip(-1, 1) / 3
        found = batched(moved)
        for k in range(3):
            atoms = ethanol.copy()
            atoms.positions = moved[k]
            atoms.calc = StudentCalculator(student, dtype="float64", backend="torch")
            assert np.abs(found[k] - atoms.get_forces()).max() < 1e-4


@pytest.mark.parametrize("mass", [35.45, 200.0])
def test_free_atoms_have_the_temperature_of_the_bath(repulsive: Student, mass: float) -> None:
    """Far-apart atoms are an ideal gas: they diffuse as Langevin's equation says."""
    numbers = np.full(60, 17)
    grid = 6.0 * np.array(list(np.ndindex(5, 4, 3)), dtype=float)
    steps = 400
    taken = student_md(
        repulsive, numbers, [grid] * 4, [300.0] * 4,
        frames=1, steps_between=steps, equilibration=0, seed=3,
        masses=None if mass == 35.45 else np.full(60, mass),
    )  # fmt: skip
    moved = np.array([t[0].positions - grid for t in taken])
    # <x^2> = 2 kT/m (t/g - (1 - exp(-g t)) / g^2), started from the equilibrium of velocities
    friction, kt = 0.02, 300.0 * 8.617333e-5
    kt_over_m = kt / (mass * 103.642697)  # u to eV fs^2 / Å^2
    t = float(steps)
    expected = 2 * kt_over_m * (t / friction - (1 - np.exp(-friction * t)) / friction**2)
    assert (moved**2).mean() == pytest.approx(expected, rel=0.2)


def test_bonds_about_to_break_are_caught(repulsive: Student, ethanol: Atoms) -> None:
    """Atoms that only repel each other fly apart: a frame at each length on the way."""
    caught: list[Frame] = []
    (taken,) = student_md(
        repulsive, ethanol.numbers, [ethanol.positions], [100.0], frames=5, steps_between=100,
        equilibration=0, strained=caught,
    )  # fmt: skip
    assert taken == [] or len(taken) < 5
    bonds = bonded_pairs(ethanol.numbers, ethanol.positions)
    start = squareform(pdist(ethanol.positions))[bonds]
    strains = [(squareform(pdist(f.positions))[bonds] / start).max() for f in caught]
    assert 1 < len(strains) <= len(STRAINS) and strains == sorted(strains)
    assert strains[0] > STRAINS[0] and {f.source for f in caught} == {"strained-md"}


def test_strained_geometries_need_a_students_md() -> None:
    plan = Sampling(frames=2, strained=3, md="ultra-tiny", conformers=1, displaced=0.0)
    assert {f.source for f in sample(from_smiles("CCO"), plan)} <= {"student-md", "strained-md"}
    with pytest.raises(DistillError, match="come from a student's MD"):
        Sampling(strained=3)


def test_same_seed_same_frames_and_temperatures_are_recorded(ethanol: Atoms) -> None:
    student = Student.untrained("ultra-tiny")
    call = {"frames": 2, "steps_between": 3, "equilibration": 2, "seed": 5}
    runs = [
        student_md(student, ethanol.numbers, [ethanol.positions] * 2, [100.0, 300.0], **call)
        for _ in range(2)
    ]
    for first, second in zip(runs[0], runs[1]):
        assert len(first) <= 2
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a.positions, b.positions)
    assert {f.temperature for f in runs[0][1]} <= {300.0}


def test_a_replica_that_comes_apart_ends_and_spares_the_others(ethanol: Atoms) -> None:
    student = Student.untrained("ultra-tiny")
    taken = student_md(
        student, ethanol.numbers, [ethanol.positions] * 2, [1e6, 1.0],
        frames=5, steps_between=4, equilibration=0, seed=1,
    )  # fmt: skip
    assert len(taken[0]) < 5
    for frame in taken[0] + taken[1]:
        assert np.isfinite(frame.positions).all()


def test_intact(ethanol: Atoms) -> None:
    bonds = bonded_pairs(ethanol.numbers, ethanol.positions)
    assert bonds.sum() == 2 * 8
    assert intact(ethanol.numbers, ethanol.positions, bonds)
    stretched = ethanol.positions.copy()
    stretched[0] += 3.0
    assert not intact(ethanol.numbers, stretched, bonds)
    crushed = ethanol.positions.copy()
    crushed[0] = crushed[1] + 0.1
    assert not intact(ethanol.numbers, crushed, bonds)
    assert not intact(ethanol.numbers, ethanol.positions * np.nan, bonds)


def test_walk_starts_with_the_force_field_and_goes_on_with_the_student(tmp_path: Path) -> None:
    molecule = from_smiles("CO")
    rng = np.random.default_rng(0)
    frames, ends = walk(molecule, None, rng, 20)
    assert {f.source for f in frames} == {"mmff94-md", "displaced"}
    assert len(frames) == 20 and ends == []
    student = load_student("ultra-tiny")
    frames, ends = walk(molecule, student, rng, MANY)
    assert len(frames) == MANY and {f.source for f in frames} == {"student-md"}
    again, _ = walk(molecule, student, rng, MANY, ends)
    assert len(again) == MANY
    assert len(first_geometries(molecule, 3, 0)) == 3


def test_few_geometries_are_as_different_as_they_can_be() -> None:
    molecule = from_smiles("CCCO")
    frames, ends = walk(molecule, load_student("ultra-tiny"), np.random.default_rng(0), 12)
    assert len(frames) == 12 and ends == []
    temperatures = [f.temperature for f in frames]
    assert len(set(temperatures)) == 12 and 300 <= min(temperatures) < max(temperatures) <= 700
    assert {f.source for f in frames} == {"student-md", "displaced"}
    # more than one conformer: the dihedral of O-C-C-C, by the distance of its ends
    assert np.ptp([np.linalg.norm(f.positions[0] - f.positions[3]) for f in frames]) > 0.5


def test_conformers_take_the_users_own_among_others() -> None:
    ethanol = from_smiles("CCO")
    (own,) = first_geometries(ethanol, 1, 0)
    far = replace(ethanol, positions=(own + 100.0,))
    centres = [x.mean() for x in conformers(far, 20, np.random.default_rng(0))]
    assert 0 < sum(c > 50 for c in centres) < 20
    bare = replace(far, rdmol=None)
    assert len(conformers(bare, 3, np.random.default_rng(0))) == 3
    with pytest.raises(DistillError, match="neither bonds nor a geometry"):
        conformers(replace(bare, positions=()), 3, np.random.default_rng(0))


@pytest.mark.slow
def test_explorers_label_what_they_see_and_stop_when_told(tmp_path: Path) -> None:
    molecule = from_smiles("CO")
    student = tmp_path / "student.safetensors"
    explorer = Explorer(
        [molecule], TeacherSpec("gfn2-xtb"), student, tmp_path / "labels.h5", seed=1
    )
    with Explorers([explorer]) as running:
        while explorer.count()[0] < 40:
            running.check()
        save_student(Student.untrained("ultra-tiny"), student)
        before = explorer.count()
        while explorer.count() == before:
            running.check()
    assert not any(p.is_alive() for p in running.processes)
    with Dataset.open(tmp_path / "labels.h5") as dataset:
        (data,) = list(dataset)
    assert np.isfinite(data.forces).all()
    # no geometry twice
    assert len(np.unique(data.positions.reshape(len(data), -1), axis=0)) == len(data)


def test_an_explorer_ends_with_its_share_of_labels(tmp_path: Path) -> None:
    """Five labels of two molecules, the user's own geometries among them; and none later."""
    ethanol, water = from_smiles("CCO"), from_smiles("O")
    (own,) = first_geometries(ethanol, 1, 0)
    save_student(load_student("ultra-tiny"), tmp_path / "s.safetensors")
    explorer = Explorer(
        [replace(ethanol, positions=(own,)), water], TeacherSpec(), tmp_path / "s.safetensors",
        tmp_path / "l.h5", seed=0, labels=5,
    )  # fmt: skip
    assert not explorer.done()
    explorer.explore(lambda: False)
    assert explorer.count() == (5, 0) and explorer.done()
    with Dataset.open(tmp_path / "l.h5") as dataset:
        first, second = dataset[ethanol.name], dataset[water.name]
    assert len(first) + len(second) == 5 and len(second) >= 1
    assert list(first.source).count("given") == 1
    np.testing.assert_allclose(first.positions[list(first.source).index("given")], own, atol=1e-5)
    assert first.seconds is not None and (first.seconds > 0).all()
    assert [one.tried for one in explorer.standings()] == [len(first), len(second)]
    assert not explorer.standings()[0].given  # labelled already
    explorer.explore(lambda: False)
    assert explorer.count() == (5, 0)
    # the error on what came last, by an independent way
    calculator = StudentCalculator("ultra-tiny")
    atoms = Atoms(numbers=water.numbers, positions=second.positions[-1], calculator=calculator)
    expected = np.sqrt(((atoms.get_forces() - second.forces[-1]) ** 2).mean())
    assert explorer.error(water, 1) == pytest.approx(expected, rel=1e-3)


def test_a_new_file_before_the_last_grows_large(tmp_path: Path) -> None:
    record = TeacherRecord("gfn2-xtb", "tblite", True)
    molecule = from_smiles("CO")
    explorer = Explorer([molecule], TeacherSpec(), tmp_path / "s", tmp_path / "labels-1.h5", seed=1)
    others = Explorer([molecule], TeacherSpec(), tmp_path / "s", tmp_path / "labels-10.h5", seed=1)
    expected = []
    for name, frames in (("labels-1.h5", 499), ("labels-1.h5", 2), ("labels-1-001.h5", 501)):
        path = explorer.next_file()
        assert path == tmp_path / name
        write(path, record, [frames_of(molecule, frames)])
        expected += [path] if path not in expected else []
        assert explorer.files() == expected
    assert explorer.next_file() == tmp_path / "labels-1-002.h5"
    assert explorer.count() == (1002, 0)
    assert others.files() == [] and others.count() == (0, 0)


def frames_of(molecule: Molecule, count: int) -> MoleculeData:
    """Frames without meaning."""
    shape = (count, len(molecule), 3)
    return MoleculeData(
        molecule.name, "", 0, molecule.numbers, np.zeros(shape), np.zeros(count), np.zeros(shape),
        np.zeros(count), np.full(count, "none", dtype=object),
    )  # fmt: skip
