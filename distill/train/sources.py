"""The labels to train on: which files of a folder, whose labels, and that they go together."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distill.data.dataset import Dataset, TeacherRecord, same_teacher
from distill.errors import DistillError
from distill.evaluate.frames import LABELLED, LabelledFrame, read_labels
from distill.evaluate.label_keys import LabelKeys
from distill.evaluate.same_molecule import tell_apart
from distill.evaluate.units import check_labels, check_lengths
from distill.student.file import load_student
from distill.teacher.worth import OWN

TEST = re.compile(
    r"(?:^|[-_. ])(test\w*|valid\w*|val|held[-_]?out|check|holdout)(?:[-_. ]|$)", re.I
)
"""In the name of a file: it is there to judge by, not to be trained on."""
JUDGE = "ultra-tiny"
"""The shipped student that tells whether labels are in eV and Å."""


@dataclass(frozen=True)
class Labels:
    """Frames of one teacher, and the files they are from."""

    frames: list[LabelledFrame]
    valid: list[LabelledFrame] | None
    teacher: TeacherRecord
    files: list[Path]


def read_sources(
    data: Sequence[Path], valid: Path | None = None, keys: LabelKeys | None = None
) -> Labels:
    """All frames of files and folders, and those of ``valid``.

    Datasets of ``distill label`` (HDF5), HDF5 of SPICE's kind, extended XYZ with energies and
    forces. Raises DistillError when they cannot be read, have several teachers, hold two molecules
    of one name, the same file is given twice, or labels look like another unit than eV and Å.
    """
    files = files_of(data, valid)
    read = [_read(path, keys) for path in [*files, *([valid] if valid else [])]]
    for path, (_, record) in zip([*files, *([valid] if valid else [])], read):
        same_teacher(files[0], read[0][1], path, record)
    own = read[0][1].name == OWN
    if own:
        for path, (frames, _) in zip(files, read):
            check_lengths(frames, str(path))
            check_labels(frames, load_student(JUDGE), str(path))
        # over all files: the same formula in two of them may be two molecules
        told = iter(tell_apart([frame for frames, _ in read for frame in frames]))
        read = [([next(told) for _ in frames], record) for frames, record in read]
    else:
        check_names([frame for frames, _ in read for frame in frames])
    return Labels(
        [frame for frames, _ in read[: len(files)] for frame in frames],
        read[-1][0] if valid else None,
        read[0][1],
        files,
    )


def files_of(data: Sequence[Path], valid: Path | None = None) -> list[Path]:
    """Files as they are, folders as the files in them, without ``valid``.

    Of a folder of ``distill run``: what it trained on, dataset.h5, or as long as there is none its
    work/labels-*.h5. Of another: all files that may hold labels; DistillError when one of them is a
    test set by its name. The ``.parts`` of a labelling run under way are a file of its own.
    """
    found: list[Path] = []
    apart = valid.resolve() if valid else None
    for path in data:
        if not path.is_dir() or path.suffix == ".parts":
            if path.resolve() == apart:
                raise DistillError(
                    f"{path} is both trained on and judged by; give another file, or no --valid."
                )
            found.append(path)
        else:
            found += _of_folder(path, apart)
    if not found:
        raise DistillError("There is nothing to train on but what --valid names; give more files.")
    twice = [path for k, path in enumerate(found) if path.resolve() in _resolved(found[:k])]
    if twice:
        raise DistillError(f"{twice[0]} is given twice; give it once.")
    return found


def _resolved(paths: Sequence[Path]) -> set[Path]:
    return {path.resolve() for path in paths}


def _of_folder(folder: Path, apart: Path | None) -> list[Path]:
    if (folder / "run.json").is_file():
        whole = folder / "dataset.h5"
        found = [whole] if whole.is_file() else sorted((folder / "work").glob("labels-*.h5"))
        if not found:
            raise DistillError(f"{folder} is a run that has no labels yet; wait for it.")
        return [path for path in found if path.resolve() != apart]
    found = [p for p in sorted(folder.iterdir()) if p.suffix in LABELLED and p.is_file()]
    if not found:
        raise DistillError(
            f"{folder} holds no file with labels ({', '.join(LABELLED)}); give another folder, or "
            "files."
        )
    found = [path for path in found if path.resolve() != apart]
    tests = [path for path in found if TEST.search(path.stem)]
    if tests:
        others = [str(path) for path in found if path not in tests]
        raise DistillError(
            f"{folder} holds {tests[0].name}, which is there to judge by, as its name says; give "
            f"the files to train on by name: {' '.join(others[:8]) or 'another folder'}."
        )
    return found


def _read(path: Path, keys: LabelKeys | None) -> tuple[list[LabelledFrame], TeacherRecord]:
    frames, found = read_labels(path, keys)
    if found is not None:
        settings = json.dumps({"energy": found.energy, "forces": found.forces})
        return frames, TeacherRecord(OWN, "not known", True, settings)
    with Dataset.open(path) as dataset:
        return frames, dataset.teacher


def common_teacher(paths: Sequence[Path]) -> TeacherRecord:
    """The teacher of all the datasets; DistillError when there are two."""
    records = []
    for path in paths:
        with Dataset.open(path) as dataset:
            records.append(dataset.teacher)
        same_teacher(paths[0], records[0], path, records[-1])
    return records[0]


def check_names(frames: Sequence[LabelledFrame]) -> None:
    """A name must stand for one molecule in all datasets: it decides what is held out."""
    seen: dict[str, np.ndarray] = {}
    for frame in frames:
        if not np.array_equal(seen.setdefault(frame.name, frame.numbers), frame.numbers):
            raise DistillError(
                f"The datasets have two different molecules named '{frame.name}'; rename one."
            )
