"""Which fields of an extended XYZ file hold the energy and the forces of one calculator.

Energy and forces go together when their names begin alike: ``energy`` and ``forces``,
``REF_energy`` and ``REF_forces``, ``TotEnergy`` and ``force``. An energy of one calculator beside
forces of another is never taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ase
import numpy as np

from distill.errors import DistillError

ENERGY = re.compile(r"(?:(?P<before>.*?)[_\-. ]?)?energy(?:[_\-. ](?P<after>.+))?", re.IGNORECASE)
FORCES = re.compile(r"(?:(?P<before>.*?)[_\-. ]?)?forces?(?:[_\-. ](?P<after>.+))?", re.IGNORECASE)
TOTAL = re.compile(r"[_\-. ]?(?:total|tot)$|^(?:total|tot)[_\-. ]?", re.IGNORECASE)
UNITS = re.compile(
    r"(?:^|[^a-z])(?:hartrees?|ha|e_?h|kcal|kj|kilo(?:cal\w*|joule\w*)|bohrs?|a\.?u\.?|ry|rydbergs?|mev|"
    r"nm)(?:$|[^a-z])",
    re.IGNORECASE,
)
"""Units that are not ours."""
OTHERS = (
    "free", "formation", "atomization", "atomisation", "kinetic", "binding", "interaction",
    "atomic", "self", "weight", "sigma", "std", "stdev", "var", "variance", "unit", "units",
    "per", "shift", "offset", "cutoff", "error", "zero", "point", "relative", "delta", "max", "rms",
    "constraint", "external", "raw", "local", "per_atom", "mask", "mean", "dispersion",
)  # fmt: skip
"""Words in the names of what is an energy or a force, but not the one of the label."""


@dataclass(frozen=True)
class LabelKeys:
    """The names of two fields; None for what is to be found."""

    energy: str | None = None
    forces: str | None = None

    def __str__(self) -> str:
        return f"{self.energy} and {self.forces}"


def fields_of(atoms: ase.Atoms) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a frame has for itself, and what it has for each atom, by name.

    ASE keeps the fields named ``energy``, ``forces``, ... of a file in a calculator.
    """
    results: Mapping[str, Any] = atoms.calc.results if atoms.calc is not None else {}
    arrays = {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")}
    own: dict[str, Any] = dict(atoms.info)
    for key, value in results.items():
        of_atoms = np.shape(value)[:1] == (len(atoms),) and key not in ("stress", "dipole")
        (arrays if of_atoms else own)[key] = value
    return own, arrays


def find_keys(atoms: ase.Atoms, wanted: LabelKeys, where: str) -> LabelKeys:
    """The names of the energy and the forces of a frame, completed from what is ``wanted``.

    Raises DistillError, which begins with ``where`` and lists the names there are, when there is
    no pair, or more than one.
    """
    own, arrays = fields_of(atoms)
    for option, key, there in (
        ("--energy-key", wanted.energy, own),
        ("--forces-key", wanted.forces, arrays),
    ):
        if key is not None and key not in there:
            raise DistillError(f"{where} has no '{key}' ({option}); {_there(own, arrays)}.")
    energies = [wanted.energy] if wanted.energy else _named(own, ENERGY)
    forces = [wanted.forces] if wanted.forces else _named(arrays, FORCES)
    if wanted.energy and wanted.forces:
        return wanted
    pairs = [
        LabelKeys(e, f) for e in energies for f in forces if _owner(e, ENERGY) == _owner(f, FORCES)
    ]
    pairs = _alike(pairs, own, arrays)
    if len(pairs) == 1:
        return pairs[0]
    if pairs:
        choices = "; or ".join(str(pair) for pair in pairs)
        raise DistillError(
            f"{where} has labels of more than one calculator: {choices}. Choose by --energy-key "
            f"and --forces-key, as --energy-key {pairs[-1].energy} --forces-key {pairs[-1].forces}."
        )
    for what, found, column in (
        ("energy", energies, "energy= in the comment line"),
        ("forces", forces, "a forces:R:3 column"),
    ):
        if not found:
            raise DistillError(
                f"{where} has no {what} that is named as such; write {column}, or name the fields "
                f"by --energy-key and --forces-key; {_there(own, arrays)}."
            )
    raise DistillError(
        f"{where} has energy in {', '.join(energies)} and forces in {', '.join(forces)}, whose "
        "names do not go together: they may be of two calculators. If they belong together, say so "
        f"by --energy-key {energies[0]} --forces-key {forces[0]}."
    )


def read_label(atoms: ase.Atoms, keys: LabelKeys, where: str) -> tuple[float, np.ndarray]:
    """The energy, and the forces (N, 3), of a frame as they stand in the file."""
    own, arrays = fields_of(atoms)
    assert keys.energy is not None and keys.forces is not None
    for key, there in ((keys.energy, own), (keys.forces, arrays)):
        if key not in there:
            raise DistillError(f"{where} has no '{key}', as others have; {_there(own, arrays)}.")
    stated = [f"{k}={v}" for k, v in own.items() if isinstance(v, str) and "unit" in k.lower()]
    for text in (keys.energy, keys.forces, *stated):
        if UNITS.search(text):
            raise DistillError(
                f"{where}: '{text}' names another unit; write energies in eV, positions in Å and "
                "forces in eV/Å, and say so."
            )
    if re.search("grad", keys.forces, re.IGNORECASE):
        raise DistillError(
            f"{where}: '{keys.forces}' is a gradient by its name, of which forces are the "
            "opposite; write forces."
        )
    try:
        energy = float(np.asarray(own[keys.energy], dtype=float).reshape(()))
    except (TypeError, ValueError) as error:
        raise DistillError(
            f"{where}: the energy '{keys.energy}' is {own[keys.energy]!r}, not a number."
        ) from error
    try:
        forces = np.asarray(arrays[keys.forces], dtype=float)
    except (TypeError, ValueError) as error:
        raise DistillError(f"{where}: the forces '{keys.forces}' are not numbers.") from error
    return energy, forces


def _named(fields: Mapping[str, Any], pattern: re.Pattern[str]) -> list[str]:
    """The fields whose name says that they are an energy, or forces."""
    return [key for key in fields if pattern.fullmatch(key) and not _is_other(key, pattern)]


def _is_other(key: str, pattern: re.Pattern[str]) -> bool:
    words = re.split(r"[_\-. ]+", _owner(key, pattern))
    return any(word in OTHERS for word in words)


def _owner(key: str, pattern: re.Pattern[str]) -> str:
    """Whose energy or forces these are: what the name says beside that, in small letters."""
    found = pattern.fullmatch(key)
    if found is None:
        return key.lower()
    parts = [TOTAL.sub("", found[part] or "") for part in ("before", "after")]
    return "_".join(part for part in parts if part).lower().strip("_-. ")


def _alike(
    pairs: list[LabelKeys], own: Mapping[str, Any], arrays: Mapping[str, Any]
) -> list[LabelKeys]:
    """The pairs without those that say the same as an earlier one."""
    found: list[LabelKeys] = []
    for pair in pairs:
        if not any(
            _same(own[pair.energy or ""], own[other.energy or ""])
            and _same(arrays[pair.forces or ""], arrays[other.forces or ""])
            for other in found
        ):
            found.append(pair)
    return found


def _same(a: Any, b: Any) -> bool:
    try:
        return bool(np.allclose(np.asarray(a, float), np.asarray(b, float), rtol=0, atol=1e-9))
    except (TypeError, ValueError):
        return False


def _there(own: Mapping[str, Any], arrays: Mapping[str, Any]) -> str:
    def listed(fields: Mapping[str, Any]) -> str:
        return ", ".join(sorted(fields)) or "nothing"

    return (
        f"the comment line has {listed(own)}, and the columns beside the positions are "
        f"{listed(arrays)}"
    )
