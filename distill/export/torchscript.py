"""TorchScript: one file that libtorch runs, from Python or C++."""

import json
import os
import tempfile
import warnings
from pathlib import Path

import torch

from distill.student.student import Student

CARD = "distill.json"
"""The extra file inside the archive that holds the student's card."""


def export_torchscript(student: Student, path: str | Path) -> None:
    """Writes ``forward(positions, numbers, edge_index, edge_shift) -> (energy, forces)``.

    Arguments and units as in :class:`distill.student.Student`. The file appears whole or not at
    all. ``torch.jit.load(path)`` needs nothing of ``distill``.
    """
    path = Path(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch would rather export otherwise
        scripted = torch.jit.script(student.eval())
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        torch.jit.save(scripted, temporary, _extra_files={CARD: json.dumps(student.card)})
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
