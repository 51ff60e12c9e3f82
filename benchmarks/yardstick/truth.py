"""Energies that are known better than a student's or its teacher's, in a file of the user's.

docs/energies.md tells what stands in it, and where such data come from.
"""

import gzip
import json
import math
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from distill.errors import DistillError

Points = list[tuple[str, float]]
"""Names of structures and their reference energies (kcal/mol), whose zero is any."""
PARTS = ("conformers", "reactions", "torsions")


@dataclass(frozen=True)
class Reaction:
    """A sum of energies, each of a structure times a number, and its reference (kcal/mol)."""

    name: str
    systems: tuple[str, ...]
    stoichiometry: tuple[float, ...]
    reference: float


@dataclass
class Truth:
    """Structures by name, and what is known of them.

    ``gfn2``: GFN2-xTB's energies (kcal/mol) of the structures that have one. ``conformers``: kinds,
    of each the molecules, of each its points. ``reactions``: sets. ``torsions``: scans.
    """

    structures: dict[str, Atoms] = field(default_factory=dict)
    gfn2: dict[str, float] = field(default_factory=dict)
    conformers: dict[str, dict[str, Points]] = field(default_factory=dict)
    reactions: dict[str, list[Reaction]] = field(default_factory=dict)
    torsions: dict[str, Points] = field(default_factory=dict)


def read_truth(path: str | Path) -> Truth:
    """What is in a JSON file, gzipped or not.

    Raises DistillError, which names the entry, for a file that is missing, damaged or of another
    format, and for one that names structures which it does not hold.
    """
    path = Path(path)
    content = _json(path)
    if not isinstance(content, dict) or "structures" not in content:
        raise DistillError(
            f"{path} has no 'structures'; docs/energies.md tells what belongs into the file."
        )
    if not any(content.get(part) for part in PARTS):
        raise DistillError(f"{path} has none of {', '.join(PARTS)}; there is nothing to judge.")
    truth = Truth()
    where = str(path)
    try:
        for key, entry in content["structures"].items():
            where = f"{path}, structures, {key}"
            truth.structures[key] = _atoms(entry)
            if entry.get("gfn2") is not None:
                truth.gfn2[key] = _number(entry["gfn2"])
        for kind, molecules in content.get("conformers", {}).items():
            truth.conformers[kind] = {}
            for name, points in molecules.items():
                where = f"{path}, conformers, {kind}, {name}"
                truth.conformers[kind][name] = _points(points, truth)
        for name, entries in content.get("reactions", {}).items():
            truth.reactions[name] = []
            for k, entry in enumerate(entries):
                where = f"{path}, reactions, {name}, {entry.get('name', k)}"
                truth.reactions[name].append(_reaction(entry, k, truth))
        for name, scan in content.get("torsions", {}).items():
            where = f"{path}, torsions, {name}"
            truth.torsions[name] = _points(scan["points"], truth)
    except KeyError as error:
        raise DistillError(
            f"{where}: there is no {error}; add it, or leave the entry out."
        ) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise DistillError(
            f"{where}: {_sentence(error)}; docs/energies.md tells what belongs there."
        ) from error
    return truth


def _json(path: Path) -> Any:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DistillError(
            f"Cannot read {path} ({error.strerror}); give --truth a file as docs/energies.md "
            "describes it."
        ) from error
    try:
        return json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DistillError(f"{path} is cut off or damaged ({error}); copy it again.") from error
    except (ValueError, RecursionError) as error:
        raise DistillError(f"{path} is no JSON ({error}); copy or make it again.") from error


def _atoms(entry: Any) -> Atoms:
    """ValueError for what is no molecule."""
    numbers = np.asarray(entry["numbers"])
    if numbers.ndim != 1 or numbers.size == 0 or numbers.dtype.kind not in "iu":
        raise ValueError("its numbers are no list of atomic numbers")
    if not ((numbers > 0) & (numbers < 119)).all():
        raise ValueError("it has an atomic number of no element")
    positions = np.asarray(entry["positions"], float)
    if positions.shape != (len(numbers), 3) or not np.isfinite(positions).all():
        raise ValueError(f"its positions are not {len(numbers)} times three finite numbers in Å")
    atoms = Atoms(numbers, positions)
    atoms.info.update(charge=int(entry.get("charge", 0)), spin=int(entry.get("spin", 1)))
    return atoms


def _points(given: Any, truth: Truth) -> Points:
    points = [(key, _number(energy)) for key, energy in given]
    for key, _ in points:
        _known(key, truth)
    return points


def _reaction(entry: Any, k: int, truth: Truth) -> Reaction:
    systems = tuple(entry["systems"])
    stoichiometry = tuple(_number(factor) for factor in entry["stoichiometry"])
    if not systems or len(systems) != len(stoichiometry):
        raise ValueError(f"{len(systems)} systems have {len(stoichiometry)} stoichiometric factors")
    for key in systems:
        _known(key, truth)
    reference = _number(entry["reference"])
    return Reaction(str(entry.get("name", k)), systems, stoichiometry, reference)


def _known(key: str, truth: Truth) -> None:
    if key not in truth.structures:
        raise ValueError(f"the structure {key} is not among the file's")


def _number(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise ValueError(f"{given!r} is no finite number")
    return float(given)


def _sentence(error: Exception) -> str:
    """Ours, or Python's of a thing of another type, which is no sentence."""
    return str(error) if isinstance(error, ValueError) else f"it has another form ({error})"
