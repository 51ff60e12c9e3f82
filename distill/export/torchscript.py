"""TorchScript: one file that libtorch runs, from Python or C++."""

import io
import json
import warnings
from pathlib import Path

import torch

from distill.student.student import Student
from distill.whole import whole_file

CARD = "distill.json"
"""The extra file inside the archive that holds the student's card."""


def export_torchscript(student: Student, path: str | Path) -> None:
    """Writes ``forward(positions, numbers, edge_index, edge_shift) -> (energy, forces)``.

    Arguments and units as in :class:`distill.student.Student`. The file appears whole or not at
    all. ``torch.jit.load(path)`` needs nothing of ``distill``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch would rather export otherwise
        scripted = torch.jit.script(student.eval())
    image = io.BytesIO()  # on a full disk torch's own writer ends the process
    torch.jit.save(scripted, image, _extra_files={CARD: json.dumps(student.card)})
    with whole_file(path) as place:
        place.write_bytes(image.getbuffer())
