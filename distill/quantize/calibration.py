"""Geometries that show a quantizer what a student meets."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from distill.errors import DistillError
from distill.evaluate.frames import LabelledFrame, read_frames
from distill.student.student import Student


def read_calibration(path: str | Path, student: Student) -> list[LabelledFrame]:
    """The frames of a dataset or extended XYZ, whose labels are not looked at.

    DistillError for elements that the student does not know, and where one that it has learned
    does not occur: its numbers would be rounded to the range of the others'.
    """
    frames = read_frames(path)
    there = set(np.concatenate([frame.numbers for frame in frames]).tolist())
    student.check_elements(sorted(there))
    missing = [chemical_symbols[z] for z in learned(student) if z not in there]
    if missing:
        raise DistillError(
            f"{path} has no {', '.join(missing)}, which the student has learned: it would be "
            "quantized blindly; add molecules with that, of any label."
        )
    return frames


def learned(student: Student) -> Sequence[int]:
    """Atomic numbers of the elements in its training set: the others' reference energy is zero."""
    energies = student.reference.tolist()
    return [z for z, energy in zip(student.config.elements, energies) if energy != 0.0]
