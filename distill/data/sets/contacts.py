"""Pairs of small molecules face to face at many distances, and each of them alone.

The pairs of `dimers` come together at random, so that few of them touch where they bind. Here an
atom that gives (a hydrogen of N, O, S or a halogen, or a halogen, chalcogen or pnictogen by its
side opposite to a bond) faces one that takes (a lone pair, an anion, the middle of a double bond),
at 0.7 to 2.4 times the sum of their van der Waals radii, in some geometries; in others the two meet
at random. All of a pair have one molecule's name, "A with B", and A and B alone are there, too:
what the contact is worth is the difference (see `distill.train.apart`).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations_with_replacement

import numpy as np
from rdkit import Chem
from scipy.spatial.transform import Rotation

from distill.data.molecules import Molecule, from_rdkit
from distill.data.sets.dimers import MONOMERS, embedded, together, touching, turned_about
from distill.data.sets.handovers import MORE
from distill.data.sets.monomers import ALL, HALOGENS, IONS, ODD, PLAIN
from distill.data.sets.split import hash_of
from distill.distances import contact_distance

WITH = " with "
ATOMS = 40
"""In a pair, at most."""
COUNT = 5000
"""Pairs."""
CHARGED = {
    name
    for name, smiles in {**MONOMERS, **MORE}.items()
    if Chem.GetFormalCharge(Chem.MolFromSmiles(smiles)) != 0
}
ORDINARY = ({*MONOMERS, *MORE, *PLAIN} - ODD) | {
    "fluorobenzene", "chlorobenzene", "bromobenzene", "4-fluoroiodobenzene", "4-iodopyridine",
    "chloroform",
}  # fmt: skip
DISTANCES = (0.72, 0.82, 0.95, 1.15, 1.6, 2.2)
"""Times the sum of van der Waals radii, the first two for hydrogen bonds and ions."""
SPREAD = 0.08
GIVING = Chem.MolFromSmarts("[#1,Cl,Br,I,S,P]")
TAKING = Chem.MolFromSmarts("[N,O,S,F,Cl,Br,I,P,n,o,s,-1,$(C=C),$(c:c),$(C#C)]")


def contacts() -> tuple[Molecule, ...]:
    """Those of molecules and ions that drugs resemble: see ORDINARY."""
    return tuple(m for m in _all() if _ordinary(m.name))


def ion_contacts() -> tuple[Molecule, ...]:
    """The others: halides, hydroxide and other small ions, interhalogens and the like, N-halides.

    Small students that learn these, too, are worse on drugs: they have no place for them."""
    return tuple(m for m in _all() if not _ordinary(m.name))


def _ordinary(name: str) -> bool:
    parts = name.split(WITH)
    return all(part in ORDINARY for part in parts) and sum(part in CHARGED for part in parts) < 2


@lru_cache(maxsize=1)
def _all() -> tuple[Molecule, ...]:
    """The monomers, and COUNT pairs; halogens and ions oftener than others, no like charges."""
    monomers = {name: embedded(name, smiles) for name, smiles in ALL.items()}
    pairs = [
        (first, second)
        for first, second in combinations_with_replacement(monomers, 2)
        if _fit(monomers[first], monomers[second])
    ]
    pairs.sort(key=lambda pair: hash_of(f"contact {pair}") / _weight(*pair))
    alone = [
        from_rdkit(mol, name, [mol.GetConformer().GetPositions()]) for name, mol in monomers.items()
    ]
    return (*alone, *(_pair(a, b, monomers[a], monomers[b]) for a, b in pairs[:COUNT]))


def _fit(a: Chem.Mol, b: Chem.Mol) -> bool:
    charges = Chem.GetFormalCharge(a) * Chem.GetFormalCharge(b)
    return charges <= 0 and a.GetNumAtoms() + b.GetNumAtoms() <= ATOMS


def _weight(first: str, second: str) -> float:
    """How much oftener than others."""
    kinds = [
        2.0 if name in HALOGENS else 1.5 if name in IONS or "-" in ALL[name] else 1.0
        for name in (first, second)
    ]
    small = 1.5 if len(ALL[first]) + len(ALL[second]) < 12 else 1.0
    return kinds[0] * kinds[1] * small


def _pair(first: str, second: str, a: Chem.Mol, b: Chem.Mol) -> Molecule:
    name = f"{first}{WITH}{second}"
    rng = np.random.default_rng(hash_of(name))
    geometries = []
    for k, factor in enumerate(DISTANCES):
        factor *= float(rng.uniform(1 - SPREAD, 1 + SPREAD))
        if k % 2 or rng.random() < 0.5:
            x, y = _facing(a, b, rng)
        else:
            x, y = turned_about(a, rng), turned_about(b, rng)
        away = contact_distance(x, y, np.array([0.0, 0.0, 1.0]), factor * touching(a, b))
        geometries.append(np.concatenate([x, y + [0.0, 0.0, away]]))
    return together(name, (a, b), geometries)


def _facing(a: Chem.Mol, b: Chem.Mol, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Positions (N, 3) of both in Å; along z an atom of one faces an atom of the other, both at
    x = y = 0. The one gives, the other takes, where there are such atoms."""
    if rng.random() < 0.5:
        return _side(a, GIVING, rng, 1.0), _side(b, TAKING, rng, -1.0)
    return _side(a, TAKING, rng, 1.0), _side(b, GIVING, rng, -1.0)


def _side(mol: Chem.Mol, kind: Chem.Mol, rng: np.random.Generator, up: float) -> np.ndarray:
    """Positions whose atom of a kind is at the origin, its open side towards ``up`` times z."""
    found = [match[0] for match in mol.GetSubstructMatches(kind)]
    polar = [k for k in found if _polar(mol, k)]
    choice = polar if polar and rng.random() < 0.8 else found or list(range(mol.GetNumAtoms()))
    atom = int(choice[rng.integers(len(choice))])
    positions = mol.GetConformer().GetPositions() - mol.GetConformer().GetPositions()[atom]
    facing = _open(mol, atom, positions, rng) + rng.normal(0.0, 0.25, 3)
    turn = Rotation.align_vectors(np.array([[0.0, 0.0, up]]), facing[None])[0]
    spin = Rotation.from_rotvec([0.0, 0.0, rng.uniform(0.0, 2 * np.pi)])
    return np.asarray((spin * turn).apply(positions))


def _polar(mol: Chem.Mol, k: int) -> bool:
    """Not a hydrogen of carbon."""
    atom = mol.GetAtomWithIdx(k)
    return atom.GetAtomicNum() != 1 or any(n.GetAtomicNum() != 6 for n in atom.GetNeighbors())


def _open(mol: Chem.Mol, atom: int, positions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A unit vector away from the neighbours of an atom at the origin, or a side opposite to one of
    its bonds (a sigma hole); above the plane where its neighbours are on two sides."""
    others = positions[[n.GetIdx() for n in mol.GetAtomWithIdx(atom).GetNeighbors()]]
    if not len(others):
        return np.array([0.0, 0.0, 1.0])
    bonds = others / np.linalg.norm(others, axis=1, keepdims=True)
    away = -bonds.sum(0)
    length = float(np.linalg.norm(away))
    plane = np.cross(bonds[0], bonds[1]) if len(bonds) > 1 else rng.normal(size=3)
    aromatic = mol.GetAtomWithIdx(atom).GetAtomicNum() == 6
    if length < 0.2 or (aromatic and rng.random() < 0.7):
        return np.asarray(plane / max(float(np.linalg.norm(plane)), 1e-6))
    if mol.GetAtomWithIdx(atom).GetAtomicNum() in (15, 16) and rng.random() < 0.5:
        return -np.asarray(bonds[rng.integers(len(bonds))])
    return np.asarray(away / length)
