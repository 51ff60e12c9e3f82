"""LAMMPS data files of molecules in vacuum and of liquids."""

from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.data import chemical_symbols
from ase.io.lammpsdata import write_lammps_data

from distill.data.explore import first_geometries
from distill.data.molecules import from_smiles
from distill.elements import ELEMENTS
from distill.errors import DistillError

ORDER = " ".join(chemical_symbols[z] for z in ELEMENTS)
"""Atom types 1 to 10 of every file: what follows ``pair_coeff * *``."""


def write_data(atoms: Atoms, file: Path, lengths: str = "metal") -> None:
    """A data file of atom_style atomic, its types as in ORDER, positions in Å."""
    atoms = atoms.copy()
    atoms.wrap()
    write_lammps_data(
        file, atoms, specorder=ORDER.split(), masses=True, units=lengths, atom_style="atomic"
    )


def in_vacuum(smiles: str, box: float = 40.0) -> Atoms:
    """One molecule in the middle of a cubic box of this many Å, not periodic."""
    molecule = from_smiles(smiles)
    atoms = molecule.atoms(first_geometries(molecule, 1, 0)[0])
    if np.ptp(atoms.positions, axis=0).max() > box - 10:
        raise DistillError(f"The molecule does not fit into {box:g} Å; give a larger --box.")
    atoms.set_cell([box] * 3)
    atoms.center()
    return atoms


def liquid(smiles: str, molecules: int, density: float, seed: int = 0) -> Atoms:
    """So many molecules on a lattice in a cubic box of a density (g/cm3), turned at random such
    that no two atoms of different molecules are nearer than 1.5 Å.

    Raises DistillError where there is no room for that: give a lower density, and compress.
    """
    rng = np.random.default_rng(seed)
    one = in_vacuum(smiles, 1e3)
    one.positions -= one.get_center_of_mass()
    volume = molecules * one.get_masses().sum() / (density * units._Nav * 1e-24)
    side = volume ** (1 / 3)
    per_side = int(np.ceil(molecules ** (1 / 3) - 1e-9))
    places = (np.array(list(np.ndindex(*[per_side] * 3)))[:molecules] + 0.5) * side / per_side
    chosen = np.zeros((0, 3))
    for place in places:
        best, room = None, 0.0
        for _ in range(200):
            turned = one.copy()
            turned.rotate(rng.uniform(0, 360), rng.normal(size=3))
            positions = turned.positions + place
            away = positions[:, None] - chosen[None]
            away -= side * np.round(away / side)
            nearest = np.sqrt((away**2).sum(-1).min(initial=1e6))
            if nearest > room:
                best, room = positions, nearest
            if room > 2.0:
                break
        if best is None or room < 1.5:
            raise DistillError(
                f"{molecules} molecules find no room at {density:g} g/cm3; give a lower --density "
                "and let NPT compress the box."
            )
        chosen = np.concatenate([chosen, best])
    return Atoms(np.tile(one.numbers, molecules), chosen, cell=[side] * 3, pbc=True)
