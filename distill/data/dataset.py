"""The dataset file: HDF5 in the layout of SPICE (Eastman et al., Sci. Data 10, 11 (2023)).

One group per molecule with ``atomic_numbers`` (N,), ``conformations`` (M, N, 3) in Å,
``energy`` (M,) in eV, ``forces`` (M, N, 3) in eV/Å, where the teacher has it ``stress``
(M, 3, 3) in eV/Å^3, ``temperature`` (M,) in K, ``source`` (M,) and, but for older files,
``seconds`` (M,), what the label took; units stand in attributes.
``failed_conformations`` (K, N, 3) and ``failed_reason`` (K,) are what the teacher could not do,
``tasks`` the keys of the labelling tasks that are in. The file's attributes name the teacher.
Behind what HDF5 sees there is a checksum of it (:mod:`distill.seal`).
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from distill.errors import DistillError
from distill.seal import intact, seal, seal_of
from distill.stop import ctrl_c_later
from distill.whole import sweep, whole_file

FORMAT = "mlff-distiller dataset"
VERSION = 1
TEXT = h5py.string_dtype("utf-8")
UNITS = {
    "conformations": "angstrom",
    "failed_conformations": "angstrom",
    "energy": "eV",
    "forces": "eV/angstrom",
    "stress": "eV/angstrom^3",
    "temperature": "kelvin",
    "seconds": "s",
}


@dataclass(frozen=True, eq=False)
class MoleculeData:
    """M labelled geometries of one molecule of N atoms; see the module for shapes and units.

    ``failed_positions`` (K, N, 3) may hold NaN: a molecule no geometry could be made for.
    ``seconds`` (M,) is what each label took, NaN where that is unknown.
    """

    name: str
    smiles: str
    charge: int
    numbers: np.ndarray
    positions: np.ndarray
    energy: np.ndarray
    forces: np.ndarray
    temperature: np.ndarray
    source: np.ndarray
    spin: int = 1
    stress: np.ndarray | None = None
    failed_positions: np.ndarray | None = None
    failed_reason: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    mapped_smiles: str = ""
    seconds: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.energy)


@dataclass(frozen=True)
class TeacherRecord:
    """Who labelled: what a dataset says of its teacher."""

    name: str
    version: str
    conservative: bool
    settings: str = "{}"

    def attributes(self) -> dict[str, Any]:
        """The attributes of a dataset file."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "teacher": self.name,
            "teacher_version": self.version,
            "teacher_conservative": self.conservative,
            "teacher_settings": self.settings,
        }


@dataclass(frozen=True, eq=False)
class Entry:
    """A molecule in a dataset: its atoms (N,), its charge, the keys of its labelling tasks."""

    name: str
    numbers: np.ndarray
    charge: int
    tasks: tuple[str, ...]


class Dataset:
    """A labelled dataset, open for reading.

    ``Dataset.open(path)`` takes a finished file, or the ``.parts`` folder of a labelling run
    under way. Iterating gives a `MoleculeData` for each molecule; ``len`` is the number of
    molecules. Close it, or use it in a ``with``.
    """

    def __init__(self, path: Path, files: list[h5py.File]) -> None:
        self.path = path
        self._files = files
        self._where: dict[str, list[h5py.File]] = {}
        for file in files:
            with damage(path):
                for name in file:
                    self._where.setdefault(name, []).append(file)

    @classmethod
    def open(cls, path: str | Path) -> Dataset:
        """Open for reading; DistillError for a missing, truncated, foreign or newer file."""
        path = Path(path)
        if not path.is_dir():
            return cls(path, [_open(path)])
        files = []
        for part in sorted(path.glob("*.h5")):
            try:
                files.append(_open(part))
            except DistillError:
                continue  # a part is written anew by the run that made it
        if not files:
            raise DistillError(f"{path} holds no part of a labelling run.")
        dataset = cls(path, files)
        for file in files:
            same_teacher(files[0].filename, _teacher(files[0]), file.filename, _teacher(file))
        return dataset

    @property
    def molecules(self) -> list[str]:
        """The names of the molecules."""
        return list(self._where)

    @property
    def teacher(self) -> TeacherRecord:
        """Name, version and settings of the teacher."""
        return _teacher(self._files[0])

    @property
    def frames(self) -> int:
        """The number of labelled geometries in all."""
        with damage(self.path):
            return sum(len(f[name]["energy"]) for name, files in self._where.items() for f in files)

    @property
    def failures(self) -> int:
        """The number of geometries that the teacher failed on."""
        with damage(self.path):
            groups = (f[name] for name, files in self._where.items() for f in files)
            return sum(len(g["failed_reason"]) for g in groups if "failed_reason" in g)

    def __len__(self) -> int:
        return len(self._where)

    def __getitem__(self, name: str) -> MoleculeData:
        if name not in self._where:
            raise DistillError(f"{self.path} holds no molecule '{name}'.")
        with damage(self.path, f" at '{name}'"):
            return join([_read(name, file[name]) for file in self._where[name]])

    def __iter__(self) -> Iterator[MoleculeData]:
        return (self[name] for name in self._where)

    def index(self) -> Iterator[Entry]:
        """What is in the file, without its geometries."""
        for name, files in self._where.items():
            with damage(self.path, f" at '{name}'"):
                group = files[0][name]
                tasks = [task for file in files for task in file[name]["tasks"].asstr()[:]]
                numbers, charge = group["atomic_numbers"][:], int(group.attrs["charge"])
            yield Entry(name, numbers, charge, tuple(tasks))

    def close(self) -> None:
        """Close the file."""
        for file in self._files:
            file.close()

    def __enter__(self) -> Dataset:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def damage(path: str | Path, where: str = "") -> Iterator[None]:
    """Whatever h5py and numpy make of a damaged file becomes a DistillError."""
    try:
        yield
    except DistillError:
        raise
    except Exception as error:  # KeyError, OSError, TypeError, MemoryError, RuntimeError, ...
        raise DistillError(f"{path} is damaged{where}; label it anew.") from error


def same_teacher(
    first: str | Path, record: TeacherRecord, other: str | Path, record_of_other: TeacherRecord
) -> None:
    """DistillError unless two files were labelled by the same teacher in the same way."""
    if record_of_other != record:
        a, b = (f"{r.name} ({r.version}, {r.settings})" for r in (record, record_of_other))
        raise DistillError(
            f"{first} was labelled by {a} and {other} by {b}: energies of two teachers do "
            "not go together; train on the data of one."
        )


def join(pieces: list[MoleculeData]) -> MoleculeData:
    """The frames of several pieces of one molecule, one after the other."""
    if len(pieces) == 1:
        return pieces[0]
    first = pieces[0]

    def together(key: str) -> np.ndarray:
        return np.concatenate([getattr(piece, key) for piece in pieces])

    stresses = [piece.stress for piece in pieces if piece.stress is not None]
    failures = [p.failed_positions for p in pieces if p.failed_positions is not None]
    return MoleculeData(
        first.name,
        first.smiles,
        first.charge,
        first.numbers,
        together("positions"),
        together("energy"),
        together("forces"),
        together("temperature"),
        together("source"),
        first.spin,
        np.concatenate(stresses) if len(stresses) == len(pieces) else None,
        np.concatenate(failures) if failures else None,
        tuple(reason for piece in pieces for reason in piece.failed_reason),
        tuple(task for piece in pieces for task in piece.tasks),
        first.mapped_smiles,
        None
        if all(p.seconds is None for p in pieces)
        else np.concatenate([_seconds(p) for p in pieces]),
    )


def _seconds(molecule: MoleculeData) -> np.ndarray:
    """What each label took, NaN where that is unknown."""
    return np.full(len(molecule), np.nan) if molecule.seconds is None else molecule.seconds


def write(path: Path, teacher: TeacherRecord, molecules: Iterable[MoleculeData]) -> None:
    """Add molecules, or frames to molecules, to the dataset ``path``; all of them or none.

    A new file replaces the old one when it is complete on the disk. Raises DistillError, the
    old file untouched, when the disk is full or the molecule is not the one in the file.
    """
    sweep(path)
    with whole_file(path) as place:
        if path.exists():
            shutil.copyfile(path, place)
        else:
            place.write_bytes(b"")
        # HDF5 must not be interrupted, either
        with place.open("r+b", buffering=0) as raw, ctrl_c_later() as ctrl_c:
            patient = PatientFile(raw)
            with h5py.File(patient, "r+" if path.exists() else "w") as file:
                file.attrs.update(teacher.attributes())
                for molecule in molecules:
                    _append(file, molecule)
                    if ctrl_c or patient.error:
                        break
            if patient.error:
                raise patient.error
        if ctrl_c:
            raise KeyboardInterrupt
        seal(place)


def write_part(path: Path, teacher: TeacherRecord, molecule: MoleculeData) -> None:
    """Write a dataset of one molecule, the result of one labelling task; whole or not at all."""
    with h5py.File("part", "w", driver="core", backing_store=False) as file:
        file.attrs.update(teacher.attributes())
        _append(file, molecule)
        file.flush()
        image = file.id.get_file_image()
    with whole_file(path) as place:
        place.write_bytes(image + seal_of(image))


class PatientFile(io.RawIOBase):
    """A file that never refuses to be written: what the disk does not take stays in memory.

    HDF5 keeps a file open that it could not write, tries again at the end of the program, and then
    crashes it. So HDF5 is never told: ``error`` holds the disk's first refusal, and who writes
    looks at it now and then.
    """

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._place = 0
        self._size = raw.seek(0, os.SEEK_END)
        self._kept: list[tuple[int, bytes]] = []
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def write(self, data: Any, /) -> int:
        block = bytes(data)
        written = 0
        if self.error is None:
            try:
                self._raw.seek(self._place)
                while written < len(block):
                    written += self._raw.write(block[written:]) or 0
            except OSError as error:
                self.error = error
        if self.error is not None:
            self._kept.append((self._place, block))
        self._place += len(block)
        self._size = max(self._size, self._place)
        return len(block)

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        self._raw.seek(self._place)
        count = 0
        while count < len(view):
            now = self._raw.readinto(view[count:])
            if not now:
                break
            count += now
        view[count:] = bytes(len(view) - count)  # beyond the end of what the disk has taken
        for start, block in self._kept:
            first, last = max(start, self._place), min(start + len(block), self._place + len(view))
            if first < last:
                view[first - self._place : last - self._place] = block[first - start : last - start]
        self._place += len(view)
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        self._size = self._place if size is None else size
        if self.error is None:
            try:
                self._raw.truncate(self._size)
            except OSError as error:
                self.error = error
        return self._size

    def flush(self) -> None:
        """Nothing is held back."""


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise DistillError(f"{path}: no such file.")
    try:
        if not intact(path):  # HDF5 can hang or crash on a damaged file: it must not see it
            raise OSError("its checksum is wrong")
        file = h5py.File(path, "r")
    except OSError as error:
        raise DistillError(
            f"{path} is not a dataset, or it is cut off or damaged; make it anew with "
            "`distill label`."
        ) from error
    with damage(path):
        kind, version = file.attrs.get("format"), int(file.attrs.get("version", 0))
    if kind != FORMAT or version > VERSION:
        file.close()
        if kind != FORMAT:
            raise DistillError(f"{path} is HDF5, but not a dataset made by `distill label`.")
        raise DistillError(f"{path} was written by a newer distiller; update mlff-distiller.")
    return file


def _teacher(file: h5py.File) -> TeacherRecord:
    attributes = file.attrs
    with damage(file.filename):
        return TeacherRecord(
            str(attributes["teacher"]),
            str(attributes["teacher_version"]),
            bool(attributes["teacher_conservative"]),
            str(attributes.get("teacher_settings", "{}")),
        )


def _append(file: h5py.File, molecule: MoleculeData) -> None:
    group = file.require_group(molecule.name)
    if "atomic_numbers" not in group:
        group.attrs["smiles"] = molecule.smiles
        group.attrs["mapped_smiles"] = molecule.mapped_smiles
        group.attrs["charge"] = molecule.charge
        group.attrs["spin"] = molecule.spin
        group["atomic_numbers"] = molecule.numbers.astype(np.int16)
    elif not np.array_equal(group["atomic_numbers"][:], molecule.numbers):
        raise DistillError(f"The dataset has another molecule named '{molecule.name}'; rename it.")
    atoms = len(molecule.numbers)
    failed = molecule.failed_positions
    if molecule.seconds is not None or "seconds" in group:
        before = len(group["energy"]) if "energy" in group else 0
        if "seconds" not in group and before:  # a file of before there was this
            _extend(group, "seconds", np.full(before, np.nan), np.float32)
        _extend(group, "seconds", _seconds(molecule), np.float32)
    _extend(group, "conformations", molecule.positions.reshape(-1, atoms, 3), np.float32)
    _extend(group, "energy", molecule.energy, np.float64)
    _extend(group, "forces", molecule.forces.reshape(-1, atoms, 3), np.float32)
    _extend(group, "temperature", molecule.temperature, np.float32)
    _extend(group, "source", molecule.source, TEXT)
    _extend(group, "tasks", np.array(molecule.tasks, dtype=object), TEXT)
    if molecule.stress is not None:
        _extend(group, "stress", molecule.stress, np.float32)
    if failed is not None and len(failed):
        _extend(group, "failed_conformations", failed, np.float32)
        _extend(group, "failed_reason", np.array(molecule.failed_reason, dtype=object), TEXT)


def _extend(group: h5py.Group, key: str, values: np.ndarray, dtype: Any) -> None:
    if key not in group:
        row = values.shape[1:]
        # chunks of about 64 kB: a frame alone would make the index larger than the data
        rows = max(1, 16384 // max(1, int(np.prod(row, dtype=int))))
        chunks = (min(rows, max(len(values), 16)), *row)
        dataset = group.create_dataset(
            key, shape=(0, *row), maxshape=(None, *row), dtype=dtype, chunks=chunks
        )
        if key in UNITS:
            dataset.attrs["units"] = UNITS[key]
    dataset = group[key]
    if len(values):
        old = len(dataset)
        dataset.resize(old + len(values), axis=0)
        dataset[old:] = values


def _read(name: str, group: h5py.Group) -> MoleculeData:
    failed = "failed_conformations" in group
    return MoleculeData(
        name=name,
        smiles=str(group.attrs["smiles"]),
        charge=int(group.attrs["charge"]),
        numbers=group["atomic_numbers"][:].astype(np.int64),
        positions=group["conformations"][:],
        energy=group["energy"][:],
        forces=group["forces"][:],
        temperature=group["temperature"][:],
        source=group["source"].asstr()[:],
        spin=int(group.attrs["spin"]),
        stress=group["stress"][:] if "stress" in group else None,
        failed_positions=group["failed_conformations"][:] if failed else None,
        failed_reason=tuple(group["failed_reason"].asstr()[:]) if failed else (),
        tasks=tuple(group["tasks"].asstr()[:]),
        mapped_smiles=str(group.attrs.get("mapped_smiles", "")),
        seconds=group["seconds"][:] if "seconds" in group else None,
    )
