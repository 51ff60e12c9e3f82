"""Charges of a user's own, out of a ``.mol2`` file (RESP, for example)."""

from pathlib import Path

from distill.data.mol2 import Mol2, parse
from distill.data.molecules import Molecule
from distill.errors import DistillError
from distill_openmm.skeleton import mappings, skeleton, skeleton_of


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
    """The first molecule of a .mol2 with the atom types of Sybyl, GAFF or Amber."""
    try:
        mol2 = next(parse(file.read_text()), Mol2())
        if len(mol2.charges) < len(mol2.numbers):
            raise ValueError("no charges")
    except (OSError, UnicodeDecodeError, ValueError, IndexError, KeyError) as error:
        raise DistillError(
            f"{file} cannot be read as a .mol2 with charges; write it again, with charges in the "
            "ninth column of its atoms."
        ) from error
    if not mol2.numbers:
        raise DistillError(f"{file} holds no atoms; give a .mol2 with charges.")
    return mol2
