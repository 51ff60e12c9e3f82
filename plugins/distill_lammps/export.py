"""``distill export --format mliap``: a student as LAMMPS reads it."""

import pickle
from pathlib import Path

from distill.student.file import student_path
from distill_lammps.mliap import StudentMLIAP


def export_mliap(student: str | Path, out: Path, dtype: str = "float32") -> str:
    """Writes ``out`` for ``pair_style mliap unified``; returns what to write into LAMMPS' input.

    student: a shipped name or a student file, which the new file holds whole.
    """
    model = StudentMLIAP(student_path(student).read_bytes(), dtype)
    out.write_bytes(pickle.dumps(model, protocol=4))
    return f"pair_style mliap unified {out} 1\npair_coeff * * C H N O  # your types' elements"
