"""Labelled frames to evaluate on: from our HDF5, or from any extended XYZ with labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import ase
import ase.io
import h5py
import numpy as np

from distill.data.charge import charge_and_spin
from distill.data.dataset import Dataset
from distill.errors import DistillError
from distill.evaluate.label_keys import LabelKeys, find_keys, read_label
from distill.evaluate.same_molecule import tell_apart
from distill.seal import intact


@dataclass(frozen=True)
class LabelledFrame:
    """One geometry with the teacher's answer.

    name: its molecule. numbers (N,). positions (N, 3) Å. energy eV. forces (N, 3) eV/Å.
    cell (3, 3) Å, or None. pbc (3,) bool. temperature: K, NaN when unknown. source: how the
    geometry was made, "" when unknown. charge: in e. spin: 2S+1. molecule: the same
    for frames of the same molecule where names do not tell, else "".
    """

    name: str
    numbers: np.ndarray
    positions: np.ndarray
    energy: float
    forces: np.ndarray
    cell: np.ndarray | None = None
    pbc: np.ndarray = field(default_factory=lambda: np.zeros(3, dtype=bool))
    temperature: float = float("nan")
    source: str = ""
    charge: int = 0
    molecule: str = ""
    spin: int = 1


def read_frames(path: str | Path, keys: LabelKeys | None = None) -> list[LabelledFrame]:
    """All frames of a dataset (HDF5 of ``distill label``, or of SPICE), an extended XYZ file, or a
    folder of these.

    In an extended XYZ the molecule's name is taken from the frame's ``name`` or ``molecule`` field,
    else it is the chemical formula; ``temperature`` (K) and ``source`` are read where present.
    keys: the names of energy and forces there; else they are found, see
    :mod:`distill.evaluate.label_keys`.

    Raises DistillError for a missing, empty or foreign file, and for frames without energies or
    forces, or with those of more than one calculator or, in a folder, teacher.
    """
    path = Path(path)
    files = _files(path) if path.is_dir() and path.suffix != ".parts" else [path]
    found = [read_labels(file, keys)[0] for file in files]
    who = [labeller(file) for file in files]
    if len(set(who)) > 1:
        other = next(k for k in range(len(who)) if who[k] != who[0])
        raise DistillError(
            f"{files[0]} was labelled by {who[0] or 'somebody else'} and {files[other]} by "
            f"{who[other] or 'somebody else'}; give the files of one teacher."
        )
    frames = [frame for part in found for frame in part]
    # what has no teacher's name may have no molecules' names either
    return frames if who[0] is not None or all(map(is_hdf5, files)) else tell_apart(frames)


def _files(folder: Path) -> list[Path]:
    """The files with labels in a folder that is not one of ``distill run``, whose files differ."""
    files = [file for file in sorted(folder.iterdir()) if file.suffix in LABELLED]
    if not files or (folder / "run.json").is_file():
        names = ", ".join(file.name for file in files[:8])
        raise DistillError(
            f"{folder} is a folder; give a file"
            + (f" in it: {names}." if files else " with labels.")
        )
    return files


def read_labels(
    path: str | Path, keys: LabelKeys | None = None
) -> tuple[list[LabelledFrame], LabelKeys | None]:
    """The frames of a file as they stand there (in an extended XYZ, some may have no name), and the
    keys of energy and forces where they are labels of somebody else's."""
    path, keys = Path(path), keys or LabelKeys()
    if not path.exists():
        raise DistillError(f"There is no file {path}; give a dataset (.h5) or an extended XYZ.")
    if path.is_dir() and path.suffix != ".parts":
        inside = [file.name for file in sorted(path.iterdir()) if file.suffix in LABELLED]
        raise DistillError(
            f"{path} is a folder; give a file"
            + (f" in it: {', '.join(inside[:8])}." if inside else " with labels.")
        )
    if path.is_file() and path.stat().st_size == 0:
        raise DistillError(f"{path} is empty; give a dataset (.h5) or an extended XYZ with frames.")
    found = None
    if not is_hdf5(path):
        frames, found = _from_xyz(path, keys)
    else:
        if keys != LabelKeys():
            raise DistillError(
                f"{path} is HDF5, whose fields have fixed names; --energy-key and --forces-key are "
                "for extended XYZ."
            )
        frames, found = _from_hdf5(path)
    check_frames(frames, str(path))
    return frames, found


LABELLED = (".h5", ".hdf5", ".xyz", ".extxyz")
"""Endings of files that may hold labels."""


def is_hdf5(path: Path) -> bool:
    """Whether a path is to be read as HDF5: by its kind, its ending or its first bytes."""
    return path.is_dir() or path.suffix in (".h5", ".hdf5") or bool(h5py.is_hdf5(path))


def labeller(path: str | Path) -> str | None:
    """The name of the teacher in a dataset of ``distill label``; None where a file has none."""
    path = Path(path)
    if not is_hdf5(path):
        return None
    try:
        with Dataset.open(path) as dataset:
            return dataset.teacher.name
    except DistillError:  # SPICE's
        return None


def check_frames(frames: Sequence[LabelledFrame], where: str) -> None:
    """Raise DistillError unless there are frames, each with atoms and finite numbers."""
    if not frames:
        raise DistillError(f"{where} holds no labelled frame; label some geometries first.")
    for k, frame in enumerate(frames):
        which = f"Frame {k} ({frame.name}) of {where}"
        n = len(frame.numbers)
        if n == 0:
            raise DistillError(f"{which} has no atoms; remove it.")
        if np.shape(frame.positions) != (n, 3) or np.shape(frame.forces) != (n, 3):
            raise DistillError(f"{which} has positions or forces of another shape than ({n}, 3).")
        for what, values in (
            ("positions", frame.positions),
            ("energy", frame.energy),
            ("forces", frame.forces),
        ):
            if not np.isfinite(values).all():
                raise DistillError(f"{which} has NaN or infinite {what}; remove or relabel it.")
        if np.any(frame.pbc) and frame.cell is None:
            raise DistillError(f"{which} is periodic but has no cell; add its lattice.")


def _from_hdf5(path: Path) -> tuple[list[LabelledFrame], LabelKeys | None]:
    from distill.evaluate.spice import ENERGY, GRADIENT, is_spice, read_spice

    if path.is_file() and h5py.is_hdf5(path) and intact(path) and is_spice(path):
        return read_spice(path), LabelKeys(ENERGY, GRADIENT)
    with Dataset.open(path) as molecules:
        return [
            LabelledFrame(
                name=molecule.name,
                numbers=molecule.numbers,
                positions=molecule.positions[k],
                energy=float(molecule.energy[k]),
                forces=molecule.forces[k],
                temperature=float(molecule.temperature[k]),
                source=str(molecule.source[k]),
                charge=int(molecule.charge),
                spin=int(molecule.spin),
            )
            for molecule in molecules
            for k in range(len(molecule))
        ], None


def _from_xyz(path: Path, wanted: LabelKeys) -> tuple[list[LabelledFrame], LabelKeys | None]:
    try:
        images = ase.io.read(path, index=":", format="extxyz")
    except Exception as error:  # ASE raises anything, from UnicodeDecodeError to KeyError
        raise DistillError(
            f"{path} is neither a dataset of ours nor a readable extended XYZ ({error})."
        ) from error
    assert isinstance(images, list)
    frames: list[LabelledFrame] = []
    first: LabelKeys | None = None
    for k, atoms in enumerate(images):
        which = f"Frame {k} of {path}"
        keys = find_keys(atoms, wanted, which)
        if first is not None and keys != first:
            raise DistillError(
                f"{which} has its labels in {keys}, frame 0 in {first}: they may be of two "
                f"calculators. Choose one by --energy-key and --forces-key."
            )
        first = keys
        frames.append(_from_atoms(atoms, keys, which))
    return frames, first


def _from_atoms(atoms: ase.Atoms, keys: LabelKeys, which: str) -> LabelledFrame:
    energy, forces = read_label(atoms, keys, which)
    try:
        temperature = float(atoms.info.get("temperature", "nan"))
    except (TypeError, ValueError):
        temperature = float("nan")
    periodic = bool(atoms.pbc.any())
    if periodic and abs(atoms.cell.volume) < 1e-6 and atoms.cell.rank < int(atoms.pbc.sum()):
        raise DistillError(f"{which} is periodic but has no cell; add its lattice.")
    charge, spin = charge_and_spin(atoms, which)
    return LabelledFrame(
        name=str(atoms.info.get("name", atoms.info.get("molecule", ""))),
        numbers=atoms.numbers.copy(),
        positions=atoms.positions.copy(),
        energy=energy,
        forces=forces,
        # a missing vector along an open direction is filled in by ASE
        cell=atoms.cell.complete().array if periodic else None,
        pbc=np.asarray(atoms.pbc, dtype=bool).copy(),
        temperature=temperature,
        source=str(atoms.info.get("source", "")),
        charge=charge,
        spin=spin,
    )
