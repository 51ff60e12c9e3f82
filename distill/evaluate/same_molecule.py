"""Which frames of a file are of the same molecule: told by the bonds, as names may be missing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from ase.symbols import Symbols

from distill.distances import relative_distances

if TYPE_CHECKING:
    from distill.evaluate.frames import LabelledFrame

BOND = 1.3
"""Times the sum of the covalent radii: a bond. MD at 700 K hardly stretches one to that."""
MOST_ATOMS = 2000
"""Beyond that, and in a periodic box, elements and charge alone tell molecules apart."""


@dataclass(eq=False)
class _Known:
    """A molecule: how its bonds lie in the order of atoms in which it was first met."""

    key: str
    bonds: np.ndarray


def tell_apart(frames: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """The frames with a ``molecule`` each, and the formula as the name where there is none.

    Frames whose atoms are in the same order are of one molecule also where one bond is stretched
    beyond recognition or two atoms have come near; conformers whose atoms are in another order are
    found by their bonds. Two molecules of one formula are named C2H6O and C2H6O-2.
    """
    by_order: dict[tuple[bytes, int], list[_Known]] = {}
    by_graph: dict[str, str] = {}
    names: dict[str, str] = {}
    taken = {frame.name for frame in frames}
    found = []
    for frame in frames:
        bonds = bonds_of(frame)
        known = by_order.setdefault((frame.numbers.tobytes(), frame.charge), [])
        match = next((k for k in known if _differ(k.bonds, bonds) <= 1), None)
        if match is None:
            graph = f"{frame.charge} {_graph(frame.numbers, bonds)}"
            key = by_graph.setdefault(graph, f"molecule {len(by_graph)}")
            match = _Known(key, bonds)
            known.append(match)
        if not frame.name and match.key not in names:
            formula = Symbols(frame.numbers).get_chemical_formula()
            name, k = formula, 1
            while name in taken:
                k += 1
                name = f"{formula}-{k}"
            taken.add(name)
            names[match.key] = name
        found.append(replace(frame, molecule=match.key, name=frame.name or names[match.key]))
    return found


def bonds_of(frame: LabelledFrame) -> np.ndarray:
    """(B, 2) pairs of atoms that are near enough for a bond, i < j."""
    n = len(frame.numbers)
    if n < 2 or n > MOST_ATOMS or np.any(frame.pbc):
        return np.zeros((0, 2), dtype=int)
    near = relative_distances(frame.numbers, frame.positions) < BOND
    return np.argwhere(np.triu(near, 1))


def _differ(a: np.ndarray, b: np.ndarray) -> int:
    """In how many bonds."""
    if len(a) == len(b) and np.array_equal(a, b):
        return 0
    return len({tuple(pair) for pair in a.tolist()} ^ {tuple(pair) for pair in b.tolist()})


def _graph(numbers: np.ndarray, bonds: np.ndarray) -> str:
    """The same for the same bonds between the same elements, in whatever order (Weisfeiler-Lehman:
    an atom's label becomes that of itself and its neighbours, until all have seen all)."""
    neighbours: list[list[int]] = [[] for _ in numbers]
    for i, j in bonds.tolist():
        neighbours[i].append(j)
        neighbours[j].append(i)
    labels = [str(z) for z in numbers.tolist()]
    different = len(set(labels))
    while True:
        labels = [
            hashlib.blake2b(
                f"{own} {sorted(labels[k] for k in near)}".encode(), digest_size=12
            ).hexdigest()
            for own, near in zip(labels, neighbours)
        ]
        if len(set(labels)) == different:
            return hashlib.blake2b(" ".join(sorted(labels)).encode(), digest_size=12).hexdigest()
        different = len(set(labels))
