"""Clusters cut out of a liquid."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.lj import LennardJones
from scipy.spatial.distance import pdist

from distill.data.liquid import clusters_of, cut, squeeze
from distill.errors import DistillError
from distill_ase import StudentCalculator
from distill_lammps.data import liquid


@pytest.fixture(scope="module")
def box() -> Atoms:
    return liquid("CO", 27, 0.5)


def density(box: Atoms) -> float:
    return box.get_masses().sum() / (box.get_volume() * units._Nav * 1e-24)


def test_molecules_are_whole_and_the_nearest(box: Atoms) -> None:
    """Against the distances that ASE finds with its own minimum image convention."""
    moved = box.copy()
    # whole molecules stand anywhere in space, as after long MD
    shifts = np.random.default_rng(0).integers(-2, 3, (27, 1, 3)) * box.cell.lengths()
    moved.positions = (moved.positions.reshape(27, 6, 3) + shifts).reshape(-1, 3)
    found = cut(moved, 27, 8, 5).reshape(8, 6, 3)
    one = pdist(box.positions[:6])
    for x in found:
        np.testing.assert_allclose(pdist(x), one, atol=1e-9)
    centres = Atoms("He27", box.positions.reshape(27, 6, 3).mean(1), cell=box.cell, pbc=True)
    right = np.sort(centres.get_distances(5, range(27), mic=True))[:8]
    np.testing.assert_allclose(np.linalg.norm(found.mean(1) - found[0].mean(0), axis=1), right)


def test_squeezing_leaves_molecules_as_they_are(box: Atoms) -> None:
    smaller = box.copy()
    squeeze(smaller, 27, 0.9)
    assert density(smaller) == pytest.approx(0.5 / 0.9**3)
    one, other = (b.positions.reshape(27, 6, 3) for b in (box, smaller))
    np.testing.assert_allclose(pdist(other[3]), pdist(one[3]), atol=1e-9)
    np.testing.assert_allclose(other.mean(1), 0.9 * one.mean(1), atol=1e-9)


def test_clusters_of_an_md(box: Atoms) -> None:
    found = clusters_of(
        StudentCalculator("ultra-tiny"), box, 27, [0.5, 0.8], name="methanol", frames=3, nearest=6
    )
    assert len(found.positions) == 6 and len(found) == 36
    assert found.numbers.tolist() == box.numbers[:36].tolist()
    assert density(box) == pytest.approx(0.5)  # the caller's box is as it was
    # denser: the six are closer together
    spread = [np.linalg.norm(x - x.mean(0), axis=1).mean() for x in found.positions]
    assert np.mean(spread[3:]) < np.mean(spread[:3])


def test_md_that_falls_apart_is_left(box: Atoms) -> None:
    """A calculator that heats the box beyond measure: nothing is taken from there."""
    wild = LennardJones(epsilon=50.0, sigma=3.0, rc=6.0)
    found = clusters_of(wild, box, 27, [0.5], name="wild", frames=3, nearest=4)
    assert len(found.positions) == 0


class Failing(StudentCalculator):
    """Answers a number of times, then finds its atoms nowhere."""

    answers = 12 * 20 + 30

    def calculate(self, *arguments: object, **keywords: object) -> None:
        self.answers -= 1
        if self.answers < 0:
            raise DistillError("Atom 0 is at NaN.")
        super().calculate(*arguments, **keywords)  # type: ignore[arg-type]


def test_what_was_taken_before_the_student_gave_up_is_kept(box: Atoms) -> None:
    found = clusters_of(
        Failing("ultra-tiny"), box, 27, [0.5, 0.8], name="methanol", frames=3, nearest=6
    )
    assert 0 < len(found.positions) < 6
