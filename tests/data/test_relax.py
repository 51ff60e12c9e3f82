"""Relaxed conformers, turned torsions, contacts pulled apart."""

import numpy as np
import pytest
from ase import Atoms
from ase.optimize import BFGS
from scipy.spatial.distance import cdist

from distill.data.molecules import from_smiles, read_molecules
from distill.data.relax import PULLED, PULLS, RELAXED, SCANNED, fire, pulled_apart
from distill.data.sampling import Sampling, chunks, sample
from distill.data.student_md import bonded_pairs, forces_of
from distill.errors import DistillError
from distill.student import load_student
from distill_ase import StudentCalculator


def test_fire_ends_where_ase_does() -> None:
    water = from_smiles("O")
    student = load_student("tiny")
    start = np.array([[0.0, 0.0, 0.0], [1.1, 0.1, 0.0], [-0.3, 1.05, 0.1]])
    ((early, late),) = fire(student, water.numbers, [start], (5, 300))
    atoms = Atoms(water.numbers, start)
    atoms.calc = StudentCalculator("tiny", dtype="float64", backend="torch")
    BFGS(atoms, logfile=None).run(fmax=1e-4, steps=200)
    found = cdist(late, late)
    assert found == pytest.approx(cdist(atoms.positions, atoms.positions), abs=2e-3)
    largest = [np.abs(forces_of(student, water.numbers, 1)(x[None])).max() for x in (early, late)]
    assert largest[1] < 0.02 < largest[0]


def test_each_geometry_is_relaxed_as_if_it_were_alone() -> None:
    ethanol = from_smiles("CCO")
    student = load_student("ultra-tiny")
    rng = np.random.default_rng(0)
    start = sample(ethanol, Sampling(frames=1, conformers=1, displaced=0.0))[0].positions
    starts = [start + rng.normal(0.0, 0.05, start.shape) for _ in range(3)]
    together = fire(student, ethanol.numbers, starts, (20,))
    for one, (x,) in zip(starts, together):
        ((alone,),) = fire(student, ethanol.numbers, [one], (20,))
        assert alone == pytest.approx(x, abs=1e-9)


def test_what_a_sampling_asks_for() -> None:
    butanol = from_smiles("CCCCO")
    asked = Sampling(frames=0, md="ultra-tiny", relaxed=3, scanned=2, thinning=0.0)
    frames = sample(butanol, asked)
    assert [f.source for f in frames] == [RELAXED] * 6 + [SCANNED] * 2
    again = sample(butanol, asked)
    assert all((a.positions == b.positions).all() for a, b in zip(frames, again))
    forces = forces_of(load_student("ultra-tiny"), butanol.numbers, 1)
    size = [np.sqrt((forces(f.positions[None]) ** 2).mean()) for f in frames]
    assert max(size) < 0.5  # MMFF's minima have more, MD at 300 K has about 1
    bonds = bonded_pairs(butanol.numbers, frames[0].positions)
    for frame in frames:
        assert (bonded_pairs(butanol.numbers, frame.positions) == bonds).all()


def test_only_the_first_task_of_a_molecule_relaxes() -> None:
    tasks = chunks(from_smiles("CCO"), Sampling(frames=50, md="tiny", relaxed=2, scanned=1))
    assert [(s.relaxed, s.scanned) for _, s in tasks] == [(2, 1), (0, 0), (0, 0)]


def test_parts_are_moved_along_the_line_between_them() -> None:
    (pair, *_) = read_molecules("dimers:train:1")
    n = int(np.flatnonzero(~bonded(pair.numbers, pair.positions[0])[0])[0])
    x = pair.positions[0]
    nearest = cdist(x[:n], x[n:]).min()
    rng = np.random.default_rng(1)
    for moved in pulled_apart(pair, x, 20, rng):
        assert (moved[:n] == x[:n]).all()
        assert cdist(moved[n:], moved[n:]) == pytest.approx(cdist(x[n:], x[n:]))
        factor = cdist(moved[:n], moved[n:]).min() / nearest
        assert PULLS[0] - 1e-6 <= factor <= PULLS[1] + 1e-6
    assert pulled_apart(from_smiles("CCO"), x[:9], 3, rng) == []
    frames = sample(
        pair, Sampling(frames=0, md="ultra-tiny", relaxed=1, pulled=2, given=False, thinning=0.0)
    )
    assert [f.source for f in frames] == [RELAXED] * 2 + [PULLED] * 2


def bonded(numbers: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(N, N) whether two atoms are of the same molecule."""
    found = bonded_pairs(numbers, x) | np.eye(len(numbers), dtype=bool)
    for _ in range(len(numbers)):
        found = found @ found
    return found


@pytest.mark.parametrize(
    "wrong", [{"relaxed": -1}, {"scanned": 1}, {"relaxed": 1, "md": "teacher"}]
)
def test_nonsense_is_refused(wrong: dict) -> None:
    with pytest.raises(DistillError):
        Sampling(**wrong)
