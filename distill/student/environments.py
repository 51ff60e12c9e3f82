"""What an atom is bonded to, and whether a training set had such an atom.

An atom's environment is its element and those of its neighbours at bond length, "C HHHO" for a
methanol's carbon. Latent distances say little of molecules of a kind that the training set had none
of (an oxygen with nothing but an oxygen beside it looks like others'); a table of the environments
that it had does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
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
RARE = 1e-5
"""Of a training set's atoms: environments of fewer come from single distorted geometries."""


def reach(numbers: Any, factor: float = BONDED) -> float:
    """Å: no two of these atoms are bonded beyond."""
    return 2.0 * factor * float(covalent_radii[np.unique(numbers)].max(initial=0.0))


def bonded(numbers: Any, positions: Any, cell: Any, pbc: Any, factor: float = BONDED) -> Pairs:
    """Centres and neighbours, both (P,) and both directions, of the pairs at bond length.

    numbers (N,), positions (N, 3) and cell (3, 3) in Å.
    """
    (i, j), shift = neighbour_list(positions, cell, pbc, reach(numbers, factor))
    x = np.asarray(positions, dtype=np.float64)
    return within(numbers, i, j, np.linalg.norm(x[j] + shift - x[i], axis=1), factor)


def within(numbers: Any, i: Any, j: Any, lengths: Array, factor: float) -> Pairs:
    """Those of the pairs (i, j), ``lengths`` Å apart, that are at bond length."""
    radii = covalent_radii[np.asarray(numbers)]
    near = lengths < factor * (radii[i] + radii[j])
    return i[near], j[near]


def names(numbers: Any, pairs: Pairs) -> list[str]:
    """The environments (N,) by the bonded pairs, both directions listed."""
    around: list[list[int]] = [[] for _ in numbers]
    for i, j in zip(*(part.tolist() for part in pairs)):
        around[i].append(int(numbers[j]))
    return [
        chemical_symbols[int(z)] + " " + "".join(chemical_symbols[n] for n in sorted(near))
        for z, near in zip(numbers, around)
    ]


def count(numbers: Any, positions: Any, edge_index: Any, edge_shift: Any) -> Counter[str]:
    """How many atoms of each environment a geometry has.

    edge_index (2, E) and edge_shift (E, 3) or None: all pairs that may be bonded, both directions.
    """
    i, j = edge_index
    x = np.asarray(positions, dtype=np.float64)
    vectors = x[j] - x[i] if edge_shift is None else x[j] + edge_shift - x[i]
    lengths = np.sqrt((vectors * vectors).sum(1))
    return Counter(names(numbers, within(numbers, i, j, lengths, BONDED)))


def common(counts: Counter[str]) -> frozenset[str]:
    """The environments that are not rare among those counted."""
    least = RARE * sum(counts.values())
    return frozenset(name for name, count in counts.items() if count >= least)


def unseen(
    known: frozenset[str], numbers: Any, positions: Any, cell: Any, pbc: Any
) -> dict[int, str]:
    """The atoms whose environment a training set had not, neither as it is nor with longer bonds,
    and what they are bonded to, in words.

    numbers (N,), positions (N, 3) and cell (3, 3) in Å.
    """
    numbers = np.asarray(numbers)
    x = np.asarray(positions, dtype=np.float64)
    (i, j), shift = neighbour_list(x, cell, pbc, reach(numbers, STRETCHED))
    lengths = np.linalg.norm(x[j] + shift - x[i], axis=1)
    usual, longer = (
        names(numbers, within(numbers, i, j, lengths, factor)) for factor in (BONDED, STRETCHED)
    )
    return {
        k: f", bonded to {name.split(' ')[1] or 'nothing'}"
        for k, (name, other) in enumerate(zip(usual, longer))
        if name not in known and other not in known
    }


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
