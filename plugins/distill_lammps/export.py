"""``distill export --format mliap`` and ``lammps``: a student as LAMMPS reads it."""

import pickle
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from distill.kernels.weights import INTERVALS, describe, flat_parameters
from distill.student.file import load_student, student_path
from distill_lammps.mliap import StudentMLIAP

PLUGIN_FORMAT = "mlff-distiller lammps 1"
"""First line of a file for ``pair_style distill``; csrc/pair_distill.cpp has the same."""


def export_mliap(student: str | Path, out: Path, dtype: str = "float32") -> str:
    """Writes ``out`` for ``pair_style mliap unified``; returns what to write into LAMMPS' input.

    student: a shipped name or a student file, which the new file holds whole.
    """
    model = StudentMLIAP(student_path(student).read_bytes(), dtype)
    out.write_bytes(pickle.dumps(model, protocol=4))
    return f"pair_style mliap unified {out} 1\npair_coeff * * C H N O  # your types' elements"


def export_plugin(student: str | Path, out: Path, dtype: str = "float32") -> str:
    """Writes ``out`` for ``pair_style distill``, which computes in either precision.

    A line of format, one of elements, then in the machine's byte order: three sizes (int64), the
    kernel's description of the student for float32 and for float64, and its parameters (float64).
    """
    loaded = load_student(student)
    metas = [describe(loaded, INTERVALS[precision]) for precision in ("float32", "float64")]
    flat = flat_parameters(loaded, "float64")
    elements = " ".join(chemical_symbols[z] for z in loaded.config.elements)
    sizes = np.array([len(metas[0]), len(metas[1]), len(flat)], dtype=np.int64)
    with out.open("wb") as file:
        file.write(f"{PLUGIN_FORMAT}\n{elements}\n".encode())
        for part in (sizes, *metas, flat):
            file.write(part.tobytes())
    return f"pair_style distill\npair_coeff * * {out} C H N O  # your types' elements"
