"""What a teacher is: labels for a list of geometries, and a name and version for the record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from ase import Atoms

from distill.errors import DistillError
from distill.teacher.limit import OPTION

XTB_NAMES: tuple[str, ...] = ("gfn2-xtb", "gfn1-xtb")
HOW = ("threads", "memory", "device")
"""Options of DFT that say what a label may take and change none; the version tells of a GPU."""


@dataclass(frozen=True)
class Label:
    """What a teacher says about one geometry of N atoms.

    ``energy`` in eV, ``forces`` (N, 3) in eV/Å, ``stress`` (3, 3) in eV/Å^3 with ASE's sign, or
    None for a molecule or a teacher without stress. ``error`` is the reason why there is no
    label; energy and forces are NaN then.
    """

    energy: float
    forces: np.ndarray
    stress: np.ndarray | None = None
    error: str | None = None

    @classmethod
    def failed(cls, atoms: int, reason: str) -> Label:
        """The label of a geometry that the teacher could not do."""
        return cls(float("nan"), np.full((atoms, 3), np.nan), None, reason)

    @classmethod
    def checked(cls, atoms: Atoms, energy: Any, forces: Any, stress: Any = None) -> Label:
        """The label that a program has given, whatever it has given.

        Raises ValueError, with a sentence, for an energy that is no number, forces that are not
        (N, 3), and anything that is complex or not finite.
        """
        values = {"energy": (energy, ()), "forces": (forces, (len(atoms), 3))}
        if stress is not None:
            values["stress"] = (stress, (3, 3))
        found = {what: _numbers(what, *value) for what, value in values.items()}
        return cls(float(found["energy"]), found["forces"], found.get("stress"))


def _numbers(what: str, given: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The array in float64; ValueError for anything that is not that."""
    if given is None:
        raise ValueError(f"it gives no {what}")
    try:
        array = np.asarray(given)
        if np.iscomplexobj(array):
            raise TypeError
        array = np.array(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"what it gives as {what} are no real numbers") from error
    if shape == () and array.size == 1:
        array = array.reshape(())
    if array.shape != shape:
        raise ValueError(f"what it gives as {what} has the shape {array.shape}, not {shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"what it gives as {what} is not finite")
    return array


class Teacher(Protocol):
    """Anything that labels geometries.

    ``conservative`` is False for models whose forces are not the derivative of their energy.
    The charge and the multiplicity stand in ``atoms.info["charge"]`` (default 0) and
    ``atoms.info["spin"]`` (default 1); see `distill.charge`.
    """

    name: str
    version: str
    conservative: bool

    def label(self, geometries: Sequence[Atoms]) -> list[Label]:
        """Label every geometry; one that fails gets ``Label.error``, it never raises."""
        ...


@dataclass(frozen=True)
class TeacherSpec:
    """The recipe of a teacher: small and picklable, so that worker processes load their own."""

    name: str = "gfn2-xtb"
    weights: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name.lower().startswith("pyscf:"):  # R2SCAN and r2scan are one functional
            object.__setattr__(self, "name", self.name.lower())

    def load(self) -> Teacher:
        """The teacher itself; raises what `load_teacher` raises."""
        return load_teacher(self.name, self.weights, self.options)

    @property
    def settings(self) -> str:
        """Options and the weights' SHA-256 as JSON: labels of other settings are not mixed.

        Options that say only how a label is calculated, as in how long, are left out.
        """
        settings: dict[str, object] = {}
        of_no_matter = (OPTION, *(HOW if self.name.startswith("pyscf:") else ()))
        options = {k: v for k, v in sorted(self.options.items()) if k not in of_no_matter}
        if options:
            settings["options"] = options
        if self.weights is not None:
            try:
                digest = hashlib.sha256(Path(self.weights).read_bytes()).hexdigest()
            except OSError as error:
                raise DistillError(
                    f"Cannot read the weights {self.weights}: {error.strerror}; "
                    "give --weights the path of a local state dict."
                ) from error
            settings["weights_sha256"] = digest
        return json.dumps(settings)


def teacher_names() -> list[str]:
    """All names that `load_teacher` knows here, without the ``ase:`` and ``pyscf:`` forms."""
    from distill.teacher.orb import orb_names

    try:
        return [*XTB_NAMES, *orb_names()]
    except DistillError:  # orb-models is not installed
        return list(XTB_NAMES)


def load_teacher(
    name: str, weights: Path | None = None, options: Mapping[str, str] | None = None
) -> Teacher:
    """Load a teacher by name.

    ``name`` is ``gfn2-xtb``, ``gfn1-xtb``, a name that orb-models lists, DFT as
    ``pyscf:functional/basis``, or ``ase:package.module:Class``. Raises DistillError for an unknown
    name, a missing package or an option that the teacher does not have.
    """
    chosen = dict(options or {})
    if name in XTB_NAMES:
        if weights is not None:
            raise DistillError(f"{name} has no weights; leave out --weights.")
        from distill.teacher.xtb import XTBTeacher

        return XTBTeacher(name, chosen)
    if name.lower().startswith("pyscf:"):
        if weights is not None:
            raise DistillError(f"{name} has no weights; leave out --weights.")
        from distill.teacher.pyscf import PySCFTeacher

        return PySCFTeacher(name, chosen)
    if name.startswith("ase:"):
        from distill.teacher.from_ase import ASETeacher

        return ASETeacher(name, chosen)
    if not name.startswith("orb"):  # spares the slow import of orb-models for a typing mistake
        raise DistillError(_unknown(name))
    from distill.teacher.orb import OrbTeacher, orb_names

    if name not in orb_names():
        raise DistillError(_unknown(name))
    return OrbTeacher(name, weights, chosen)


def _unknown(name: str) -> str:
    return (
        f"Unknown teacher '{name}'; there are {', '.join(teacher_names())}, "
        "DFT as pyscf:functional/basis, and any ASE calculator as ase:package.module:Class."
    )
