"""Small molecules alone, and up to six of them in contact: what liquids look like from inside.

The molecules are those of `dimers`, water one in four. They come to the cluster one after the other
from a random side, until the nearest two atoms are 0.8 to 1.3 times the sum of their van der Waals
radii apart.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from ase.data import vdw_radii
from rdkit import Chem

from distill.data.molecules import Molecule
from distill.data.sets.dimers import (
    CONTACT,
    MONOMERS,
    embedded,
    together,
    turned_about,
)
from distill.data.sets.split import hash_of
from distill.distances import contact_distance

COUNT = 1600
SIZES = range(3, 7)
ATOMS = 48
WATER = 0.25
GEOMETRIES = 2


@lru_cache(maxsize=1)
def clusters() -> tuple[Molecule, ...]:
    """Every monomer, and then COUNT clusters."""
    monomers = {name: embedded(name, smiles) for name, smiles in MONOMERS.items()}
    found = {name: _cluster((name,), [mol]) for name, mol in monomers.items()}
    names = list(monomers)
    draw = 0
    while len(found) < len(monomers) + COUNT:
        rng = np.random.default_rng(hash_of(f"cluster {draw}"))
        draw += 1
        chosen = tuple(sorted(_drawn(names, rng)))
        mols = [monomers[name] for name in chosen]
        charges = [Chem.GetFormalCharge(mol) for mol in mols]
        # one ion or an ion pair; more would fly apart or together
        if sum(mol.GetNumAtoms() for mol in mols) > ATOMS or abs(sum(charges)) > 1:
            continue
        if sum(charge != 0 for charge in charges) <= 2:
            molecule = _cluster(chosen, mols)
            found.setdefault(molecule.name, molecule)
    return tuple(found.values())


def _drawn(names: list[str], rng: np.random.Generator) -> list[str]:
    return [
        "water" if rng.random() < WATER else names[rng.integers(len(names))]
        for _ in range(rng.integers(SIZES.start, SIZES.stop))
    ]


def _cluster(names: tuple[str, ...], mols: list[Chem.Mol]) -> Molecule:
    return cluster(" + ".join(names), mols)


def cluster(name: str, mols: list[Chem.Mol]) -> Molecule:
    """The molecules in contact, each geometry packed anew; the name is the seed."""
    rng = np.random.default_rng(hash_of(name))
    numbers = [np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()]) for mol in mols]
    geometries = []
    for _ in range(GEOMETRIES if len(mols) > 1 else 1):
        order = rng.permutation(len(mols))
        placed: dict[int, np.ndarray] = {}
        for k in order.tolist():
            x = turned_about(mols[k], rng)
            if placed:
                direction = rng.normal(size=3)
                direction /= np.linalg.norm(direction)
                there = np.concatenate([*placed.values()])
                radii = vdw_radii[np.concatenate([numbers[other] for other in placed])]
                reach = rng.uniform(*CONTACT) * (radii[:, None] + vdw_radii[numbers[k]])
                x = x + there.mean(0)
                x = x + contact_distance(there, x, direction, reach) * direction
            placed[k] = x
        geometries.append(np.concatenate([placed[k] for k in range(len(mols))]))
    return together(name, mols, geometries)
