"""Labels in another unit, or gradients, are told by a constant factor; bad students are not."""

from dataclasses import replace

import numpy as np
import pytest

from distill.data.explore import first_geometries
from distill.data.molecules import from_smiles
from distill.errors import DistillError
from distill.evaluate import LabelledFrame, predict
from distill.evaluate.predict import Predictions
from distill.evaluate.units import check_labels, check_lengths, factor, hints
from distill.student import load_student


@pytest.fixture(scope="module")
def right() -> list[LabelledFrame]:
    """Labels of the shipped tiny on ethanol and methanol, a little noise on the forces."""
    rng = np.random.default_rng(0)
    student = load_student("tiny")
    frames = []
    for smiles in ("CCO", "CO"):
        molecule = from_smiles(smiles)
        for x in first_geometries(molecule, 6, 0):
            x = x + rng.normal(0, 0.05, x.shape)
            zero = np.zeros_like(x)
            frames.append(LabelledFrame(smiles, molecule.numbers, x, 0.0, zero))
    p = predict(student, frames, progress=False)
    forces = np.split(p.forces_pred, np.cumsum(p.n_atoms)[:-1])
    return [
        replace(f, energy=float(e), forces=g + rng.normal(0, 0.1, g.shape))
        for f, e, g in zip(frames, p.energy_pred, forces)
    ]


def scaled(frames: list[LabelledFrame], energy: float, forces: float) -> Predictions:
    changed = [replace(f, energy=energy * f.energy, forces=forces * f.forces) for f in frames]
    return predict(load_student("ultra-tiny"), changed, progress=False)


def test_right_labels_need_no_hint(right: list[LabelledFrame]) -> None:
    assert hints(scaled(right, 1.0, 1.0)) == []
    check_labels(right, load_student("ultra-tiny"), "a.xyz")
    check_lengths(right, "a.xyz")


@pytest.mark.parametrize(
    "forces, says",
    [
        (23.0605, "kcal/mol/Å"), (96.485, "kJ/mol/Å"), (964.85, "kJ/mol/nm"),
        (0.0194469, "hartree/bohr"), (0.0367493, "hartree/Å"), (0.0388938, "rydberg/bohr"),
        (0.529177, "eV/bohr"), (1000.0, "meV/Å"), (1 / 23.0605, "trained in kcal/mol/Å"),
        (51.42, "trained in hartree/bohr"), (-1.0, "gradients"), (-23.0605, "kcal/mol/Å"),
        (200.0, "as they must be"),
    ],
)  # fmt: skip
def test_the_unit_of_forces(right: list[LabelledFrame], forces: float, says: str) -> None:
    (hint,) = hints(scaled(right, 1.0, forces))
    assert says in hint and "forces" in hint
    assert ("opposite sign" in hint) == (forces < 0)


@pytest.mark.parametrize("energy, says", [(23.0605, "kcal/mol"), (1 / 27.2114, "hartree")])
def test_the_unit_of_energies(right: list[LabelledFrame], energy: float, says: str) -> None:
    (hint,) = hints(scaled(right, energy, 1.0))
    assert says in hint and "energies" in hint


def test_a_bad_student_is_not_blamed_on_units(rng: np.random.Generator) -> None:
    reference = rng.normal(0, 1, (500, 3))
    for noise, size in ((0.5, 0.4), (1.0, 0.3), (3.0, 3.0), (0.3, 0.7), (0.1, 1.4)):
        assert factor(size * (reference + rng.normal(0, noise, (500, 3))), reference) is None
    assert factor(rng.normal(0, 30, (500, 3)), reference) is None
    assert factor(np.zeros((500, 3)), reference) is None
    assert factor(reference, np.zeros((500, 3))) is None
    assert factor(reference[:1], 23 * reference[:1]) is None


@pytest.mark.parametrize("forces", [23.0605, 1 / 51.422, -1.0, 0.529177])
def test_such_labels_are_not_trained_on(right: list[LabelledFrame], forces: float) -> None:
    wrong = [replace(f, forces=forces * f.forces) for f in right]
    with pytest.raises(DistillError, match=r"a\.xyz: .*the shipped student.* Convert them"):
        check_labels(wrong, load_student("ultra-tiny"), "a.xyz")


@pytest.mark.parametrize("scale", [1 / 0.529177, 0.1, 100.0])
def test_lengths(right: list[LabelledFrame], scale: float) -> None:
    wrong = [replace(f, positions=scale * f.positions) for f in right]
    with pytest.raises(DistillError, match="positions must be in Å"):
        check_lengths(wrong, "a.xyz")
    # a dissociation is none
    two = np.array([7, 7])
    check_lengths(
        [
            LabelledFrame("N2", two, np.array([[0, 0, 0], [0, 0, d]]), 0.0, np.zeros((2, 3)))
            for d in (1.1, 3.0, 5.0)
        ],
        "a.xyz",
    )
