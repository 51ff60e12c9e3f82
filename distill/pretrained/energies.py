"""How right a student's differences of energies are: conformers, torsions, and contacts.

All to the teacher, at geometries of molecules that were not trained on.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.units import kcal, mol
from numpy.typing import NDArray

from distill.data.relax import RELAXED, SCANNED
from distill.evaluate.frames import LabelledFrame, read_frames
from distill.evaluate.metrics import relative_errors
from distill.evaluate.predict import predict
from distill.student import Student
from distill.train.apart import apart

KCAL = float(kcal / mol)


def energy_errors(
    student: Student, conformers: Sequence[Path], contacts: Sequence[Path], parts: Sequence[Path]
) -> dict[str, Any]:
    """Mean absolute errors in kcal/mol, to the teacher.

    conformers: datasets with relaxed conformers and turned torsions; of each molecule both mean
    energies are taken away. contacts: datasets with complexes; each at its geometry of the lowest
    energy is compared with its parts far apart, whose labels are in ``contacts`` or in ``parts``.
    """
    found: dict[str, Any] = {"unit": "kcal/mol, mean absolute error to the teacher"}
    frames = [frame for path in conformers for frame in read_frames(path)]
    for source in (RELAXED, SCANNED):
        some = [frame for frame in frames if frame.source == source]
        errors, repeated = relative_errors(_errors(student, some), tuple(f.name for f in some))
        found[source.replace("-", "_")] = _mean(errors[repeated])
    found["molecules"] = len({frame.name for frame in frames})
    bound, far = bound_and_far(contacts, parts)
    errors = _errors(student, bound) - _errors(student, far)
    return found | {"contact": _mean(errors), "contacts": len(errors)}


def bound_and_far(
    contacts: Sequence[Path], parts: Sequence[Path]
) -> tuple[list[LabelledFrame], list[LabelledFrame]]:
    """Complexes at their geometries of the lowest energy, and each with its parts far apart."""
    best: dict[str, LabelledFrame] = {}
    for path in contacts:
        for frame in read_frames(path):
            if frame.name not in best or frame.energy < best[frame.name].energy:
                best[frame.name] = frame
    far: dict[str, LabelledFrame] = {}
    for frame in apart(contacts, parts):
        far.setdefault(frame.name, frame)
    return [best[name] for name in far if name in best], [far[n] for n in far if n in best]


def _mean(errors: NDArray[np.float64]) -> float | None:
    """Of their sizes, to a calorie; None where there are none."""
    return round(float(np.abs(errors).mean()), 3) if len(errors) else None


def _errors(student: Student, frames: Sequence[LabelledFrame]) -> NDArray[np.float64]:
    """(M,) in kcal/mol, student less teacher."""
    if not frames:
        return np.zeros(0)
    answers = predict(student, frames, progress=False)
    return np.asarray((answers.energy_pred - answers.energy_ref) / KCAL)
