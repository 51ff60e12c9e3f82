"""What a labelling run keeps: a part for each finished task, beside the dataset file that they
are merged into at the end."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from distill.data.dataset import Dataset, Entry, MoleculeData, TeacherRecord, write, write_part
from distill.data.molecules import Molecule
from distill.errors import DistillError
from distill.teacher.base import TeacherSpec


class Store:
    """The file and its parts, held by one labelling run at a time."""

    def __init__(self, path: Path, spec: TeacherSpec) -> None:
        self.path = path
        self.folder = path.with_name(path.name + ".parts")
        self._spec = spec
        self._settings = spec.settings
        self._teacher: TeacherRecord | None = None
        self._known: dict[str, tuple[np.ndarray, int]] = {}
        self._writable = True
        self.done: set[str] = set()

    def __enter__(self) -> Store:
        try:
            existed = self.folder.exists()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.folder / "lock", "w")
        except OSError as error:
            raise DistillError(f"Cannot write beside {self.path}: {error.strerror}.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # the run before may have cleared its folder away since this one opened the lock
            if not os.path.samestat(os.fstat(self._lock.fileno()), os.stat(self._lock.name)):
                raise OSError
        except OSError as error:
            self._lock.close()
            raise DistillError(
                f"Another run is labelling into {self.path}; wait for it."
            ) from error
        try:
            self._survey()
        except BaseException:
            self._lock.close()
            if not existed:
                shutil.rmtree(self.folder, ignore_errors=True)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def _survey(self) -> None:
        if self.path.exists():
            with Dataset.open(self.path) as dataset:
                self._agree(dataset.teacher, self.path)
                for entry in dataset.index():
                    self._note(entry)
        for part in self.folder.glob("*.h5"):
            try:
                dataset = Dataset.open(part)
            except DistillError:
                part.unlink()  # cut off by a power failure: do it again
                continue
            with dataset:
                self._agree(dataset.teacher, part)
                for entry in dataset.index():
                    if part.stem in self.done:  # killed between the merge and the clearing away
                        part.unlink()
                    else:
                        self._note(entry)

    def _note(self, entry: Entry) -> None:
        self.done.update(entry.tasks)
        self._known[entry.name] = (entry.numbers, entry.charge)

    def _agree(self, record: TeacherRecord, where: Path) -> None:
        if (record.name, record.settings) != (self._spec.name, self._settings):
            raise DistillError(
                f"{where} has labels of {record.name} {record.settings}, not of "
                f"{self._spec.name} {self._settings}; choose another file for this teacher."
            )
        self._teacher = record

    def sign(self, name: str, version: str, conservative: bool) -> None:
        """Say who labels; refuses another version of the teacher."""
        if self._teacher is not None and self._teacher.version != version:
            raise DistillError(
                f"{self.path} has labels of {name} by {self._teacher.version}, not by "
                f"{version}; choose another file."
            )
        self._teacher = TeacherRecord(self._spec.name, version, conservative, self._settings)

    def check(self, molecule: Molecule) -> None:
        """Refuse a molecule whose name stands for another one in the file."""
        numbers, charge = self._known.get(molecule.name, (molecule.numbers, molecule.charge))
        if charge != molecule.charge or not np.array_equal(numbers, molecule.numbers):
            raise DistillError(
                f"{self.path} has another molecule named '{molecule.name}'; rename yours."
            )

    def add(self, key: str, result: MoleculeData) -> None:
        """Keep the result of a task."""
        assert self._teacher is not None
        try:
            write_part(self.folder / f"{key}.h5", self._teacher, result)
        except DistillError:
            self._writable = False
            raise
        self.done.add(key)

    def merge(self) -> None:
        """Bring the parts into the file and clear them away.

        They stay where they are when the disk has just refused one: so it would refuse the file.
        """
        if not self._writable:
            return
        parts = sorted(self.folder.glob("*.h5"))
        if parts:
            assert self._teacher is not None
            write(self.path, self._teacher, _each(parts))
        shutil.rmtree(self.folder, ignore_errors=True)


def _each(parts: list[Path]) -> Iterator[MoleculeData]:
    for part in parts:
        with Dataset.open(part) as dataset:
            yield from dataset


def gather(path: Path, teacher: TeacherSpec) -> None:
    """Bring into ``path`` what a killed run has left beside it."""
    if path.with_name(path.name + ".parts").is_dir():
        with Store(path, teacher) as store:
            store.merge()
