"""``distill export --format mliap`` and ``lammps``: a student as LAMMPS reads it."""

import pickle
import zlib
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from distill.kernels.library import available
from distill.kernels.weights import INTERVALS, describe, flat_parameters
from distill.kernels.weights import sizes as kernel_sizes
from distill.student import Student
from distill.student.file import load_student, student_path
from distill.whole import whole_file
from distill_lammps.mliap import StudentMLIAP

PLUGIN_FORMAT = "mlff-distiller lammps 3"
"""First line of a file for ``pair_style distill``; csrc/student_file.cpp has the same."""


def export_mliap(student: str | Path, out: Path, dtype: str = "float32") -> str:
    """Writes ``out`` for ``pair_style mliap unified``; returns what to write into LAMMPS' input.

    student: a shipped name or a student file, which the new file holds whole.
    """
    model = StudentMLIAP(student_path(student).read_bytes(), dtype)
    model.check()
    with whole_file(out) as place:
        place.write_bytes(pickle.dumps(model, protocol=4))
    return _hint(f"pair_style mliap unified {out} 1\npair_coeff * *", model.student)


def export_plugin(student: str | Path, out: Path, dtype: str = "float32") -> str:
    """Writes ``out`` for ``pair_style distill``, which computes in either precision.

    A line of format, one with the CRC-32 of all that follows (eight hexadecimal digits), one of
    elements, then in the machine's byte order: three sizes (int64), the kernel's description of the
    student for float32 and for float64, and its parameters (float64).
    """
    loaded = load_student(student)
    metas = [describe(loaded, INTERVALS[precision]) for precision in ("float32", "float64")]
    if available():
        kernel_sizes(metas[0])  # refuses what LAMMPS' side could not compute
    flat = flat_parameters(loaded, "float64")
    sizes = np.array([len(metas[0]), len(metas[1]), len(flat)], dtype=np.int64)
    content = f"{' '.join(symbols(loaded))}\n".encode()
    content += b"".join(part.tobytes() for part in (sizes, *metas, flat))
    with whole_file(out) as place:
        place.write_bytes(f"{PLUGIN_FORMAT}\n{zlib.crc32(content):08x}\n".encode() + content)
    return _hint(f"pair_style distill\npair_coeff * * {out}", loaded)


def symbols(student: Student) -> list[str]:
    """The elements that a student knows, in its order."""
    return [chemical_symbols[z] for z in student.config.elements]


def _hint(lines: str, student: Student) -> str:
    return (
        f"{lines} {' '.join(symbols(student))}\n"
        "# these are all that the student knows: give one for each of your atom types, in order"
    )
