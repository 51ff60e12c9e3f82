"""Systems of any size: drugs in vacuum, and boxes of a liquid."""

import numpy as np
from ase import Atoms
from ase.build import molecule

from distill.data.explore import first_geometries
from distill.data.molecules import from_smiles
from distill.errors import DistillError

PARACETAMOL = "CC(=O)Nc1ccc(O)cc1"
LORATADINE = "CCOC(=O)N1CCC(=C2c3ccc(Cl)cc3CCc3cccnc32)CC1"
SPACING = 4.07
"""Å between methanol molecules on a cubic lattice: the liquid's density at 25 °C, 0.79 g/cm3."""


def system(n_atoms: int) -> Atoms:
    """Paracetamol (20 atoms) or loratadine (50) in vacuum, else a periodic box of methanol with
    about that many atoms; the same every time. DistillError below 20 atoms."""
    if n_atoms == 20:
        return drug(PARACETAMOL)
    if n_atoms == 50:
        return drug(LORATADINE)
    if n_atoms < 20:
        raise DistillError(f"{n_atoms} atoms are too few to measure; use 20 or more.")
    return methanol(n_atoms)


def drug(smiles: str) -> Atoms:
    """A drug warmed to 100 K by a force field's MD."""
    found = from_smiles(smiles)
    return found.atoms(first_geometries(found, 1, 0)[0])


def methanol(n_atoms: int) -> Atoms:
    """A box of methanol molecules on a lattice, all the same way up: no two are too near."""
    count = max(8, round(n_atoms / 6))
    side = max(2, round(count ** (1 / 3)))
    shape = (side, side, max(2, round(count / side**2)))
    one = molecule("CH3OH")
    corners = SPACING * np.array(list(np.ndindex(*shape)), dtype=float)
    positions = (one.positions[None] + corners[:, None]).reshape(-1, 3)
    numbers = np.tile(one.numbers, len(corners))
    return Atoms(numbers, positions, cell=SPACING * np.array(shape), pbc=True)
