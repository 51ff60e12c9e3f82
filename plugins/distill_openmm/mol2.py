"""Charges of a user's own, out of a ``.mol2`` file (RESP, for example)."""

import re
from dataclasses import dataclass
from pathlib import Path

from ase.data import atomic_numbers

from distill.data.molecules import Molecule
from distill.errors import DistillError
from distill_openmm.skeleton import mappings, skeleton, skeleton_of


@dataclass(frozen=True)
class Mol2:
    """The first molecule of a file: N atomic numbers, bonds, and charges in e."""

    numbers: list[int]
    bonds: list[tuple[int, int]]
    charges: list[float]


def charges_of(molecule: Molecule, file: Path) -> list[float]:
    """Charges (N,) in e for the molecule's atoms, whatever their order in the file.

    Raises DistillError for a file of another molecule, or with charges that are none.
    """
    mol2 = read(file)
    assert molecule.rdmol is not None
    ways = mappings(skeleton_of(molecule.rdmol)[0], skeleton(mol2.numbers, mol2.bonds))
    if not ways:
        raise DistillError(
            f"{file} holds another molecule than {molecule.name}: its {len(mol2.numbers)} atoms "
            f"and {len(mol2.bonds)} bonds are not these {len(molecule)}; give the .mol2 of this "
            "one, with all hydrogens."
        )
    total = sum(mol2.charges)
    if abs(total - molecule.charge) > 0.05:
        raise DistillError(
            f"The charges in {file} add up to {total:g}, but that of {molecule.name} is "
            f"{molecule.charge:+d}; mend one of them."
        )
    return [mol2.charges[k] for k in ways[0]]


def read(file: Path) -> Mol2:
    """A .mol2 with the atom types of Sybyl, GAFF or Amber."""
    section = ""
    atoms: dict[str, int] = {}
    numbers, charges, bonds = [], [], []
    try:
        for line in file.read_text().splitlines():
            words = line.split()
            if line.startswith("@<TRIPOS>"):
                if section and line.startswith("@<TRIPOS>MOLECULE"):
                    break
                section = line.strip().removeprefix("@<TRIPOS>")
            elif section == "ATOM" and words and not line.startswith("#"):
                atoms[words[0]] = len(atoms)
                numbers.append(element(words[5]))
                charges.append(float(words[8]))
            elif section == "BOND" and words and not line.startswith("#"):
                bonds.append((atoms[words[1]], atoms[words[2]]))
    except (OSError, UnicodeDecodeError, ValueError, IndexError, KeyError) as error:
        raise DistillError(
            f"{file} cannot be read as a .mol2 with charges; write it again, with charges in the "
            "ninth column of its atoms."
        ) from error
    if not numbers:
        raise DistillError(f"{file} holds no atoms; give a .mol2 with charges.")
    return Mol2(numbers, bonds, charges)


def element(kind: str) -> int:
    """The atomic number of an atom type: C.ar, c3, Cl, cl, na (nitrogen), hn, ..."""
    letters = re.match(r"[A-Za-z]+", kind)
    if letters is None:
        raise ValueError(f"no atom type: {kind}")
    for two in ("Cl", "Br"):
        if letters[0].lower() == two.lower():
            return int(atomic_numbers[two])
    return int(atomic_numbers[letters[0][0].upper()])
