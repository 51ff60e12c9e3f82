"""Rings of water, ammonia, hydrogen fluoride and the like whose protons all move on at once.

In a ring of hydrogen bonds each proton can go to the next molecule at the same time as all others
(concerted proton exchange); `handovers` has one proton between two molecules. Each ring is there
with its protons at their places, half way, and between, from loose to tight.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from rdkit import Chem
from scipy.spatial.transform import Rotation

from distill.data.molecules import Molecule
from distill.data.sets.dimers import embedded, together
from distill.data.sets.split import hash_of

LINKS = {
    "hydrogen fluoride": "F", "water": "O", "ammonia": "N", "methanol": "CO", "methylamine": "CN",
    "hydrogen chloride": "Cl", "hydrogen sulfide": "S",
}  # fmt: skip
LENGTHS = {"F": (2.2, 2.7), "O": (2.3, 2.9), "N": (2.5, 3.2), "Cl": (2.9, 3.8), "S": (2.9, 3.9)}
"""Å between neighbours in the ring: tight to loose."""
SIZES = range(2, 7)
GEOMETRIES = 14
MIXED = 60
"""Rings of two kinds."""


@lru_cache(maxsize=1)
def exchange() -> tuple[Molecule, ...]:
    """All rings of one kind, and some of two."""
    kinds = list(LINKS)
    rings = [(name,) * size for name in kinds for size in SIZES]
    rng = np.random.default_rng(hash_of("mixed rings"))
    while len(rings) < len(kinds) * len(SIZES) + MIXED:
        size = int(rng.integers(2, 6))
        ring = tuple(str(rng.choice(kinds[:5])) for _ in range(size))
        if len(set(ring)) > 1 and ring not in rings:
            rings.append(ring)
    mols = {name: embedded(name, LINKS[name]) for name in kinds}
    found = []
    for ring in rings:
        name = "ring of " + ", ".join(ring)
        rng = np.random.default_rng(hash_of(name))
        parts = [mols[kind] for kind in ring]
        geometries = [x for _ in range(GEOMETRIES) if (x := _ring(parts, rng)) is not None]
        if geometries:
            found.append(together(name, parts, geometries))
    return tuple(found)


def _ring(parts: Sequence[Chem.Mol], rng: np.random.Generator) -> np.ndarray | None:
    """One geometry (N, 3) in Å; None where atoms come too near."""
    heavy = [_giver(part) for part in parts]
    names = [part.GetAtomWithIdx(k).GetSymbol() for part, k in zip(parts, heavy)]
    loose, moved = rng.uniform(0.0, 1.0), rng.choice([0.0, 0.5, rng.uniform(0.0, 0.5)])
    loose *= 1.0 - 1.6 * moved  # protons go over where the ring is tight
    sides = []
    for k, name in enumerate(names):
        after = names[(k + 1) % len(names)]
        short, long = (0.5 * (a + b) for a, b in zip(LENGTHS[name], LENGTHS[after]))
        sides.append(short + max(loose, 0.0) * (long - short))
    radius = float(np.mean(sides)) / (2.0 * np.sin(np.pi / len(parts)))
    angles = 2.0 * np.pi * np.arange(len(parts)) / len(parts)
    pucker = rng.normal(0.0, 0.15, len(parts))
    centres = np.stack([radius * np.cos(angles), radius * np.sin(angles), pucker], axis=1)
    placed = []
    for k, (part, atom) in enumerate(zip(parts, heavy)):
        placed.append(_towards(part, atom, centres[k], centres[(k + 1) % len(parts)], moved, rng))
    joined = np.concatenate(placed) + rng.normal(0.0, 0.03, (sum(map(len, placed)), 3))
    between = np.linalg.norm(joined[:, None] - joined[None], axis=-1) + 9.0 * np.eye(len(joined))
    return joined if between.min() > 0.7 else None


def _giver(mol: Chem.Mol) -> int:
    """The heavy atom that has the proton."""
    return next(
        a.GetIdx()
        for a in mol.GetAtoms()
        if a.GetSymbol() in LENGTHS and any(n.GetAtomicNum() == 1 for n in a.GetNeighbors())
    )


def _towards(
    mol: Chem.Mol, atom: int, here: np.ndarray, there: np.ndarray, moved: float,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Positions (N, 3) with the atom ``here`` and its proton on the way ``there``, the part
    ``moved`` of the way between its own place and the mirror image of that."""
    x = mol.GetConformer().GetPositions()
    x = x - x[atom]
    proton = next(
        n.GetIdx() for n in mol.GetAtomWithIdx(atom).GetNeighbors() if n.GetAtomicNum() == 1
    )
    along = (there - here) / np.linalg.norm(there - here)
    others = np.delete(np.arange(len(x)), [atom, proton])
    outward = here * [1.0, 1.0, 0.0]
    outward = outward / np.linalg.norm(outward) + rng.normal(0.0, 0.4, 3)
    if len(others):  # the rest of the molecule points outward
        rest = x[others].mean(0)
        turn = Rotation.align_vectors(
            np.stack([along, outward]), np.stack([x[proton], rest]), weights=[100.0, 1.0]
        )[0]
    else:
        turn = Rotation.align_vectors(along[None], x[proton][None])[0]
    x = turn.apply(x)
    length, whole = float(np.linalg.norm(x[proton])), float(np.linalg.norm(there - here))
    x[proton] = along * (length + 2.0 * moved * max(0.5 * whole - length, 0.0))
    return np.asarray(x + here)
