"""Labels of one's own, from extended XYZ or SPICE's HDF5, as a dataset that says who labelled."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distill.data.dataset import MoleculeData, TeacherRecord, write
from distill.data.molecules import clean_name
from distill.errors import DistillError
from distill.evaluate.frames import LabelledFrame
from distill.evaluate.label_keys import LabelKeys
from distill.train.sources import OWN, read_sources

SOURCE = "own"
"""How the geometries were made, where the file does not say."""


@dataclass(frozen=True)
class Written:
    """What went into a dataset."""

    molecules: int
    geometries: int


def write_own_labels(
    data: Sequence[Path], out: Path, labelled_by: str, keys: LabelKeys | None = None
) -> Written:
    """Writes the labels of files and folders as the dataset ``out``.

    data: extended XYZ or SPICE's HDF5, or folders of them, in eV and Å (see docs/labels.md for what
    is recognized and refused). labelled_by: the method and the program, which become the teacher of
    the dataset and of its students; datasets with the same one can be trained on together. keys:
    the names of energy and forces in extended XYZ.

    Raises DistillError, and writes nothing, for files that cannot be read or look like another
    unit, datasets of ``distill label``, periodic frames, and an ``out`` that is there already.
    """
    labelled_by = " ".join(labelled_by.split())
    if not labelled_by:
        raise DistillError(
            "It is not said who labelled; give --labelled-by, for example "
            "--labelled-by 'wB97M-V/def2-TZVPD, ORCA 6.1'."
        )
    if out.exists():
        raise DistillError(f"{out} is there already; give another file (-o).")
    labels = read_sources(data, None, keys)
    if labels.teacher.name != OWN:
        raise DistillError(
            f"{labels.files[0]} is a dataset of distill, labelled by {labels.teacher.name}; train "
            "on it as it is."
        )
    if any(np.any(frame.pbc) for frame in labels.frames):
        raise DistillError(
            "There are periodic frames, and a dataset holds molecules without a cell; train on the "
            "file as it is: distill train FILE."
        )
    molecules = _molecules(labels.frames)
    settings = json.dumps({"own_labels": True})
    write(out, TeacherRecord(labelled_by, "as told by --labelled-by", True, settings), molecules)
    return Written(len(molecules), len(labels.frames))


def _molecules(frames: Sequence[LabelledFrame]) -> list[MoleculeData]:
    """Frames of the same atoms in the same order, charge and spin together."""
    groups: dict[tuple[str, bytes, int, int], list[LabelledFrame]] = {}
    for frame in frames:
        which = (frame.molecule or frame.name, frame.numbers.tobytes(), frame.charge, frame.spin)
        groups.setdefault(which, []).append(frame)
    taken: set[str] = set()
    found = []
    for group in groups.values():
        first = group[0]
        base = name = clean_name(first.name)
        number = 1
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name)
        found.append(
            MoleculeData(
                name=name,
                smiles="",
                charge=first.charge,
                numbers=first.numbers,
                positions=np.array([f.positions for f in group]),
                energy=np.array([f.energy for f in group]),
                forces=np.array([f.forces for f in group]),
                temperature=np.array([f.temperature for f in group]),
                source=np.array([f.source or SOURCE for f in group], dtype=object),
                spin=first.spin,
            )
        )
    return found
