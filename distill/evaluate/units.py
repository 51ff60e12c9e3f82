"""What a constant factor between a student's answers and the labels says: another unit, or sign.

A student that knows the molecules at all gives forces in the right directions. Labels that are all
23 times as large, in these directions, are in kcal/mol.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from ase import units

from distill.distances import relative_distances
from distill.errors import DistillError
from distill.evaluate.frames import LabelledFrame
from distill.evaluate.predict import Predictions, predict
from distill.student import Student

KCAL, KJ = units.kcal / units.mol, units.kJ / units.mol
ENERGIES = {
    "kcal/mol": 1 / KCAL,
    "kJ/mol": 1 / KJ,
    "hartree": 1 / units.Hartree,
    "rydberg": 1 / units.Rydberg,
    "meV": 1e3,
    "wavenumbers": 1 / units.invcm,
}
"""How many of a unit are one eV."""
FORCES = {
    "kcal/mol/Å": 1 / KCAL,
    "kJ/mol/Å": 1 / KJ,
    "kJ/mol/nm": 10 / KJ,
    "hartree/bohr": units.Bohr / units.Hartree,
    "hartree/Å": 1 / units.Hartree,
    "rydberg/bohr": units.Bohr / units.Rydberg,
    "rydberg/Å": 1 / units.Rydberg,
    "eV/bohr": units.Bohr,
    "kcal/mol/bohr": units.Bohr / KCAL,
    "meV/Å": 1e3,
}
"""How many of a unit are one eV/Å."""
CLOSE = 0.12
"""By how much a factor may be off that of a unit."""
FEW = 5
"""Numbers that tell nothing of a factor."""
MOST_ASKED = 40
"""Frames that a student is asked about before a training."""
BONDED = (0.4, 1.5)
"""Times the sum of the covalent radii: as near as the nearest two atoms of any frame are."""


def hints(predictions: Predictions) -> list[str]:
    """Sentences on labels that look like another unit or sign; none where all is well."""
    p = predictions
    found = [_hint("forces", p.forces_pred, p.forces_ref, "eV/Å", FORCES)]
    if found == [None]:
        pred, ref = _relative(p, p.energy_pred), _relative(p, p.energy_ref)
        found = [_hint("energies", pred, ref, "eV", ENERGIES)]
    return [hint for hint in found if hint]


def factor(predicted: np.ndarray, reference: np.ndarray) -> float | None:
    """The constant between two sets of numbers; None where there is none, or it is about one.

    The farther from one, the less alike the two need to be: a poor student's forces are too small,
    never 23 times, nor the opposite.
    """
    a, b = (np.asarray(v, dtype=float).reshape(-1) for v in (predicted, reference))
    size_a, size_b = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if len(a) < FEW or not (size_a > 0 and size_b > 0):
        return None
    alike = float(a @ b) / (size_a * size_b)
    ratio = math.copysign(size_b / size_a, alike)
    usual = 0.6 < ratio < 1.0 / 0.6
    far = not 0.2 < ratio < 5.0
    return None if usual or abs(alike) < (0.9 if far else 0.98) else ratio


def _hint(
    what: str, predicted: np.ndarray, reference: np.ndarray, unit: str, known: Mapping[str, float]
) -> str | None:
    found = factor(predicted, reference)
    if found is None:
        return None
    size = abs(found)
    said = f"The reference {what} are about {size:.4g} times the student's"
    if found < 0:
        said += ", and of the opposite sign: they look like gradients"
        if 0.6 < size < 1.0 / 0.6:
            return f"{said}, of which forces are the opposite."

    def named(ratio: float) -> str:
        near = [u for u, f in known.items() if abs(math.log(ratio / f)) < CLOSE]
        near.sort(key=lambda u: abs(math.log(ratio / known[u])))
        return " or ".join(near)

    guesses = [
        f"{who} {verb} {units_of}"
        for who, verb, units_of in (
            ("they", "look like", named(size)),
            ("the student", "looks as if it had been trained in", named(1.0 / size)),
        )
        if units_of
    ]
    if guesses:
        return f"{said}; {', or '.join(guesses)}. Labels must be in {unit}."
    return f"{said}; are they in {unit}, as they must be?"


def _relative(p: Predictions, energies: np.ndarray) -> np.ndarray:
    """Energies less the mean of their molecule's, of molecules with two frames or more."""
    _, molecule, count = np.unique(p.names, return_inverse=True, return_counts=True)
    mean = np.bincount(molecule, weights=energies) / count
    return np.asarray((energies - mean[molecule])[count[molecule] >= 2])


def check_lengths(frames: Sequence[LabelledFrame], where: str) -> None:
    """Raises DistillError when the atoms of no frame are near enough for a bond, or all too near:
    positions in bohr, nm or pm."""
    nearest = []
    for frame in frames:
        if 2 <= len(frame.numbers) <= 500 and not np.any(frame.pbc):
            nearest.append(float(relative_distances(frame.numbers, frame.positions).min()))
    if nearest and (min(nearest) > BONDED[1] or max(nearest) < BONDED[0]):
        raise DistillError(
            f"In {where} the nearest atoms are {float(np.median(nearest)):.2g} times as far from "
            "each other as bonded ones; positions must be in Å (1 bohr is 0.529 Å, 1 nm is 10 Å)."
        )


def check_labels(frames: Sequence[LabelledFrame], student: Student, where: str) -> None:
    """Raises DistillError for labels that are in another unit, or gradients, by a student's word.

    The student may have another teacher: their forces are alike as far as this goes. Frames that
    it cannot judge are left out.
    """
    known, charges = set(student.config.elements), student.card.get("charges")
    some = [
        frame
        for frame in frames
        if set(frame.numbers.tolist()) <= known and (not charges or frame.charge in charges)
    ]
    some = [
        some[k] for k in np.unique(np.linspace(0, len(some) - 1, min(40, len(some))).astype(int))
    ]
    if not some:
        return
    try:
        predictions = predict(student, some, progress=False)
    except DistillError:  # overlapping atoms: told elsewhere, and better
        return
    for hint in hints(predictions):
        if "look like" in hint:
            raise DistillError(
                f"{where}: {hint.replace('the student', 'the shipped student')} Convert them to "
                "eV and Å."
            )
