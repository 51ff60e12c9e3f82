"""What an atom is bonded to, and whether a training set had such an atom.

An atom's environment is its element and those of its neighbours at bond length, "C HHHO" for a
methanol's carbon, "N N." for an atom of N2: two that have no other neighbours. Latent distances say
little of molecules of a kind that the training set had none of (an oxygen with nothing but an
oxygen beside it looks like others'); a table of the environments that it had does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from numpy.typing import NDArray

from distill.student.neighbours import neighbour_list

Array = NDArray[np.float64]
Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]

BONDED = 1.25
"""Times the sum of the covalent radii: atoms nearer than this are bonded."""
STRETCHED = 1.4
"""The same for bonds that a vibration has stretched: it must not make another environment."""
BREAKING = 2.0
"""The same for bonds that are pulled apart: an atom without a neighbour this near is on its own."""
RARE = 1e-5
"""Of a training set's atoms: environments of fewer may come from single distorted geometries."""


def reach(numbers: Any, factor: float = BONDED) -> float:
    """Å: no two of these atoms are bonded beyond."""
    return 2.0 * factor * float(covalent_radii[np.unique(numbers)].max(initial=0.0))


def bonded(numbers: Any, positions: Any, cell: Any, pbc: Any) -> Pairs:
    """Centres and neighbours, both (P,) and both directions, of the pairs at bond length.

    numbers (N,), positions (N, 3) and cell (3, 3) in Å.
    """
    i, j, lengths = near_pairs(numbers, positions, cell, pbc, BONDED)
    return within(numbers, i, j, lengths, BONDED)


def near_pairs(
    numbers: Any, positions: Any, cell: Any, pbc: Any, factor: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """All pairs that may be within ``factor`` times the sum of their radii, and their lengths."""
    x = np.asarray(positions, dtype=np.float64)
    (i, j), shift = neighbour_list(x, cell, pbc, reach(numbers, factor))
    return i, j, np.linalg.norm(x[j] + shift - x[i], axis=1)


def within(numbers: Any, i: Any, j: Any, lengths: Array, factor: float) -> Pairs:
    """Those of the pairs (i, j), ``lengths`` Å apart, that are at bond length."""
    radii = covalent_radii[np.asarray(numbers)]
    near = lengths < factor * (radii[i] + radii[j])
    return i[near], j[near]


def names(numbers: Any, i: Any, j: Any, lengths: Array, factor: float = BONDED) -> list[str]:
    """The environments (N,) by the pairs (i, j), ``lengths`` Å apart, both directions listed.

    An atom of a bond that is breaking is "H ~", one on its own "H ".
    """
    around: list[list[int]] = [[] for _ in numbers]
    for a, b in zip(*(part.tolist() for part in within(numbers, i, j, lengths, factor))):
        around[a].append(b)
    breaking = set(within(numbers, i, j, lengths, BREAKING)[0].tolist())
    z = [int(number) for number in numbers]
    found = []
    for k, near in enumerate(around):
        others = "".join(chemical_symbols[n] for n in sorted(z[b] for b in near))
        if not near and k in breaking:
            others = "~"
        elif len(near) == 1 and around[near[0]] == [k]:
            others += "."
        found.append(f"{chemical_symbols[z[k]]} {others}")
    return found


def count(numbers: Any, positions: Any, edge_index: Any, edge_shift: Any) -> Counter[str]:
    """How many atoms of each environment a geometry has.

    edge_index (2, E) and edge_shift (E, 3) or None: all pairs that may be bonded or breaking, both
    directions.
    """
    i, j = edge_index
    x = np.asarray(positions, dtype=np.float64)
    vectors = x[j] - x[i] if edge_shift is None else x[j] + edge_shift - x[i]
    return Counter(names(numbers, i, j, np.linalg.norm(vectors, axis=1)))


class Census:
    """Counts the environments of a training set, geometry by geometry."""

    def __init__(self) -> None:
        self.atoms: Counter[str] = Counter()
        self.geometries: dict[Hashable, int] = {}
        self.having: dict[Hashable, Counter[str]] = {}

    def add(self, molecule: Hashable, found: Counter[str]) -> None:
        """One geometry of a molecule, with how many atoms of each environment it has."""
        self.atoms.update(found)
        self.geometries[molecule] = self.geometries.get(molecule, 0) + 1
        self.having.setdefault(molecule, Counter()).update(found.keys())

    def known(self) -> frozenset[str]:
        """The environments that are more than accidents: not rare, or a molecule's usual ones."""
        least = RARE * sum(self.atoms.values())
        usual = {
            name
            for molecule, names_of in self.having.items()
            for name, count in names_of.items()
            if count >= max(3, self.geometries[molecule] / 4)
        }
        usual.update(name for name, n in self.atoms.items() if n >= least)
        return frozenset(name for name in usual if not name.endswith("~"))  # never asked for


def unseen(
    known: frozenset[str], numbers: Any, positions: Any, cell: Any, pbc: Any
) -> dict[int, str]:
    """The atoms whose environment a training set had not, neither as it is nor with longer bonds,
    and what they are bonded to, in words.

    numbers (N,), positions (N, 3) and cell (3, 3) in Å.
    """
    numbers = np.asarray(numbers)
    pairs = near_pairs(numbers, positions, cell, pbc, BREAKING)
    usual, longer = (names(numbers, *pairs, factor) for factor in (BONDED, STRETCHED))
    return {
        k: in_words(name)
        for k, (name, other) in enumerate(zip(usual, longer))
        if not (name in known or other in known or other.endswith("~"))
    }


def in_words(name: str) -> str:
    """What an atom is bonded to: "bonded to HHO"."""
    near = name.split(" ")[1]
    return f"bonded to {near.rstrip('.')}{' alone' * near.endswith('.')}" if near else "on its own"


def packed(known: Iterable[str]) -> dict[str, str]:
    """For a card: by element, the neighbours of each environment, "-" for none."""
    by_element: dict[str, list[str]] = {}
    for name in sorted(known):
        element, near = name.split(" ")
        by_element.setdefault(element, []).append(near or "-")
    return {element: " ".join(near) for element, near in by_element.items()}


def unpacked(card: dict[str, str]) -> frozenset[str]:
    """From a card."""
    return frozenset(
        f"{element} {'' if near == '-' else near}"
        for element, names_of in card.items()
        for near in names_of.split()
    )
