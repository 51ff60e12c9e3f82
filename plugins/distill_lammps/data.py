"""LAMMPS data files of molecules in vacuum and of liquids."""

from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.data import atomic_masses, chemical_symbols

from distill.data.explore import first_geometries
from distill.data.molecules import Molecule, read_one
from distill.elements import ELEMENTS
from distill.errors import DistillError

ORDER = " ".join(chemical_symbols[z] for z in ELEMENTS)
"""Atom types 1 to 10 of every file: what follows ``pair_coeff * *``."""


def kinds(atoms: Atoms) -> list[tuple[str, float]]:
    """Element and mass of each atom type: those of ORDER, then isotopes."""
    known = [(symbol, float(atomic_masses[z])) for symbol, z in zip(ORDER.split(), ELEMENTS)]
    here = dict.fromkeys(zip(atoms.symbols, atoms.get_masses().tolist()))
    return known + [kind for kind in here if kind not in known]


def elements(atoms: Atoms) -> str:
    """What follows ``pair_coeff * *`` and the file: ORDER, and the elements of isotopes."""
    return " ".join(symbol for symbol, _ in kinds(atoms))


def write_data(atoms: Atoms, file: str | Path) -> None:
    """A data file of atom_style atomic, its types as in `kinds`, positions in Å.

    The cell must have right angles.
    """
    atoms = atoms.copy()
    atoms.wrap()
    types = kinds(atoms)
    of_atoms = [types.index(kind) + 1 for kind in zip(atoms.symbols, atoms.get_masses().tolist())]
    lines = ["written by python -m distill_lammps data", ""]
    lines += [f"{len(atoms)} atoms", f"{len(types)} atom types", ""]
    lines += [f"0.0 {side:.12g} {d}lo {d}hi" for side, d in zip(atoms.cell.lengths(), "xyz")]
    lines += ["", "Masses", ""]
    lines += [f"{k} {mass:.8g}  # {symbol}" for k, (symbol, mass) in enumerate(types, start=1)]
    lines += ["", "Atoms  # atomic", ""]
    for k, (kind, (x, y, z)) in enumerate(zip(of_atoms, atoms.positions), start=1):
        lines.append(f"{k} {kind} {x:.12f} {y:.12f} {z:.12f}")
    Path(file).write_text("\n".join(lines) + "\n")


def geometry(source: str | Molecule) -> Atoms:
    """A molecule's first geometry as its file has it, else one from its bonds; isotopes' masses."""
    molecule = read_one(source) if isinstance(source, str) else source
    given = molecule.positions or first_geometries(molecule, 1, 0)
    atoms = molecule.atoms(given[0])
    atoms.set_masses(molecule.masses)
    return atoms


def in_vacuum(source: str | Molecule, box: float = 40.0) -> Atoms:
    """One molecule in the middle of a cubic box of this many Å, not periodic."""
    atoms = geometry(source)
    if np.ptp(atoms.positions, axis=0).max() > box - 10:
        raise DistillError(f"The molecule does not fit into {box:g} Å; give a larger --box.")
    atoms.set_cell([box] * 3)
    atoms.center()
    return atoms


def liquid(source: str | Molecule, molecules: int, density: float, seed: int = 0) -> Atoms:
    """So many molecules on a lattice in a cubic box of a density (g/cm3), turned at random such
    that no two atoms of different molecules are nearer than 1.5 Å.

    Raises DistillError where there is no room for that: give a lower density, and compress.
    """
    rng = np.random.default_rng(seed)
    one = in_vacuum(source, 1e3)
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
    return Atoms(
        np.tile(one.numbers, molecules), chosen, masses=np.tile(one.get_masses(), molecules),
        cell=[side] * 3, pbc=True,
    )  # fmt: skip
