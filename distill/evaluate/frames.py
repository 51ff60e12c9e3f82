"""Labelled frames to evaluate on: from our HDF5, or from any extended XYZ with labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase
import ase.io
import h5py
import numpy as np

from distill.data.dataset import Dataset
from distill.errors import DistillError

# What others call the reference, tried in this order after ASE's own stored results.
ENERGY_KEYS = ("energy", "REF_energy", "dft_energy")
FORCE_KEYS = ("forces", "REF_forces", "dft_forces", "force")


@dataclass(frozen=True)
class LabelledFrame:
    """One geometry with the teacher's answer.

    name: its molecule. numbers (N,). positions (N, 3) Å. energy eV. forces (N, 3) eV/Å.
    cell (3, 3) Å, or None. pbc (3,) bool. temperature: K, NaN when unknown. source: how the
    geometry was made, "" when unknown. charge: in e.
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


def read_frames(path: str | Path) -> list[LabelledFrame]:
    """All frames of a dataset (HDF5 of ``distill label``) or an extended XYZ file.

    In an extended XYZ the molecule's name is taken from the frame's ``name`` or ``molecule`` field,
    else it is the chemical formula; ``temperature`` (K) and ``source`` are read where present.

    Raises DistillError for a missing, empty or foreign file, and for frames without energies or
    forces.
    """
    path = Path(path)
    if not path.exists():
        raise DistillError(f"There is no file {path}; give a dataset (.h5) or an extended XYZ.")
    if path.stat().st_size == 0:
        raise DistillError(f"{path} is empty; give a dataset (.h5) or an extended XYZ with frames.")
    if path.is_dir() or path.suffix in (".h5", ".hdf5") or h5py.is_hdf5(path):
        frames = _from_hdf5(path)
    else:
        frames = _from_xyz(path)
    check_frames(frames, str(path))
    return frames


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


def _from_hdf5(path: Path) -> list[LabelledFrame]:
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
            )
            for molecule in molecules
            for k in range(len(molecule))
        ]


def _from_xyz(path: Path) -> list[LabelledFrame]:
    try:
        images = ase.io.read(path, index=":", format="extxyz")
    except Exception as error:  # ASE raises anything, from UnicodeDecodeError to KeyError
        raise DistillError(
            f"{path} is neither a dataset of ours nor a readable extended XYZ ({error})."
        ) from error
    assert isinstance(images, list)
    return [_from_atoms(atoms, f"Frame {k} of {path}") for k, atoms in enumerate(images)]


def _from_atoms(atoms: ase.Atoms, which: str) -> LabelledFrame:
    results: dict[str, Any] = atoms.calc.results if atoms.calc is not None else {}
    energy = _first(ENERGY_KEYS, results, atoms.info)
    forces = _first(FORCE_KEYS, results, atoms.arrays)
    for what, value in (("energy", energy), ("forces", forces)):
        if value is None:
            raise DistillError(
                f"{which} has no {what}; write energy= in the comment line and a forces:R:3 column."
            )
    try:
        temperature = float(atoms.info.get("temperature", "nan"))
    except (TypeError, ValueError):
        temperature = float("nan")
    periodic = bool(atoms.pbc.any())
    if periodic and abs(atoms.cell.volume) < 1e-6 and atoms.cell.rank < int(atoms.pbc.sum()):
        raise DistillError(f"{which} is periodic but has no cell; add its lattice.")
    return LabelledFrame(
        name=str(atoms.info.get("name", atoms.info.get("molecule", atoms.get_chemical_formula()))),
        numbers=atoms.numbers.copy(),
        positions=atoms.positions.copy(),
        energy=float(energy),  # type: ignore[arg-type]
        forces=np.asarray(forces, dtype=float),
        # a missing vector along an open direction is filled in by ASE
        cell=atoms.cell.complete().array if periodic else None,
        pbc=np.asarray(atoms.pbc, dtype=bool).copy(),
        temperature=temperature,
        source=str(atoms.info.get("source", "")),
        charge=charge_of(atoms),
    )


def charge_of(atoms: ase.Atoms) -> int:
    """``atoms.info["charge"]`` in e, 0 where there is none; DistillError when it is no number."""
    charge = atoms.info.get("charge", 0)
    try:
        return round(float(charge))
    except (TypeError, ValueError) as error:
        raise DistillError(f"The charge must be a whole number, not '{charge}'.") from error


def _first(keys: Sequence[str], *places: dict[str, Any]) -> Any | None:
    return next((place[key] for place in places for key in keys if key in place), None)
