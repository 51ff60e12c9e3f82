"""The explorers' labels in a run's folder, and how they become one dataset."""

import math
from collections import Counter
from pathlib import Path

import numpy as np

from distill.data.dataset import Dataset, TeacherRecord, write
from distill.data.explore import Explorer
from distill.data.store import gather
from distill.run.folder import RunFolder
from distill.run.settings import RunSettings


def label_files(folder: RunFolder) -> list[Path]:
    """What all explorers have labelled, those of an earlier start with more --workers, too."""
    return sorted((folder.path / "work").glob("labels-*.h5"))


def gather_parts(settings: RunSettings, folder: RunFolder) -> None:
    """What explorers that were killed had labelled of a batch."""
    for parts in sorted((folder.path / "work").glob("labels-*.h5.parts")):
        gather(parts.with_suffix(""), settings.spec())


def merge(explorers: list[Explorer], path: Path) -> TeacherRecord:
    """All explorers' labels in one dataset file; returns what it says of the teacher."""
    return merge_files([path for e in explorers for path in e.files()], path)


def merge_files(files: list[Path], path: Path) -> TeacherRecord:
    """The labels of several files in one, made anew; returns what it says of the teacher."""
    record = teacher_of(files)
    path.unlink(missing_ok=True)  # of a run stopped right here: write() would add to it
    opened = [Dataset.open(file) for file in files]
    try:
        write(path, record, (molecule for dataset in opened for molecule in dataset))
    finally:
        for dataset in opened:
            dataset.close()
    return record


def teacher_of(files: list[Path]) -> TeacherRecord:
    """Who labelled."""
    with Dataset.open(files[0]) as dataset:
        return dataset.teacher


def failures(files: list[Path]) -> tuple[int, str]:
    """Geometries that the teacher failed on, and the commonest reason."""
    reasons: Counter[str] = Counter()
    for file in files:
        with Dataset.open(file) as dataset:
            for molecule in dataset:
                reasons.update(molecule.failed_reason)
    return reasons.total(), next((reason for reason, _ in reasons.most_common(1)), "")


def cost(dataset: Dataset) -> tuple[int, float]:
    """Labels in a dataset, and the seconds that one took; NaN where that is unknown."""
    seconds = [one.seconds for one in dataset if one.seconds is not None]
    known = np.concatenate(seconds) if seconds else np.empty(0)
    known = known[np.isfinite(known)]
    return dataset.frames, float(known.mean()) if len(known) else math.nan
