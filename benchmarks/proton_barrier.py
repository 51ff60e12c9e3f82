"""What it costs a proton to cross a hydrogen bond within a molecule, everything else relaxed.

    python benchmarks/proton_barrier.py "C[C@]12C/C(=C/O)C(=O)C[C@@H]1CC[C@@H]1..." -o barrier.json

`md_stability.py` counts a proton that went as a broken bond. Where the teacher itself lets it go,
the student is right. The geometry is the one of several conformers whose hydrogen is nearest to its
acceptor. Its distance to the acceptor is then held at ever less, the rest relaxed, with the teacher
and with each student on its own; at last it is let go.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.constraints import FixBondLengths
from ase.optimize import BFGS
from ase_teacher import TeacherCalculator
from rich.console import Console
from rich.table import Table

from distill.data.distort import hydrogen_bonds
from distill.data.explore import first_geometries
from distill.data.molecules import Molecule, read_molecules
from distill.evaluate.report import provenance
from distill_ase import StudentCalculator

CONFORMERS = 12
DISTANCES = (1.6, 1.5, 1.4, 1.3, 1.2, 1.1, 1.0)
"""Between hydrogen and acceptor, Å."""
STEPS = 100


def hydrogen_bond(molecule: Molecule) -> tuple[np.ndarray, int, int, int] | None:
    """A geometry, and donor, hydrogen and acceptor of its hydrogen bond; None without.

    Of several conformers and bonds, where the hydrogen is nearest to its acceptor.
    """
    assert molecule.rdmol is not None
    found = [
        (float(np.linalg.norm(x[hydrogen] - x[acceptor])), x, donor, hydrogen, acceptor)
        for x in first_geometries(molecule, CONFORMERS, 0)
        for donor, hydrogen, acceptor, _ in hydrogen_bonds(molecule.rdmol, x)
    ]
    return min(found, key=lambda bond: bond[0])[1:] if found else None


def relaxed(atoms: Atoms) -> float:
    """Relaxes in place; the energy in eV."""
    BFGS(atoms, logfile=None).run(fmax=0.03, steps=STEPS)
    return float(atoms.get_potential_energy())


def way(
    molecule: Molecule, start: tuple[np.ndarray, int, int, int], calculator: Calculator
) -> dict:
    """Barrier and what is behind it, in eV above the start."""
    positions, donor, hydrogen, acceptor = start
    atoms = Atoms(molecule.numbers, positions, calculator=calculator)
    first = relaxed(atoms)
    energies = {}
    for distance in DISTANCES:
        towards = atoms.positions[hydrogen] - atoms.positions[acceptor]
        if np.linalg.norm(towards) < distance:
            continue
        atoms.positions[hydrogen] = atoms.positions[acceptor] + towards * (
            distance / np.linalg.norm(towards)
        )
        pair = [[hydrogen, acceptor]]
        atoms.set_constraint(FixBondLengths(pair, bondlengths=[distance], tolerance=1e-6))
        energies[f"{distance:.1f}"] = relaxed(atoms) - first
        atoms.set_constraint()
    last = relaxed(atoms) - first
    return {
        "barrier": max(energies.values()),
        "after": last,
        "crossed": bool(
            atoms.get_distance(hydrogen, acceptor) < atoms.get_distance(hydrogen, donor)
        ),
        "energies": energies,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="SMILES, file, or set")
    parser.add_argument("--only", nargs="+", help="names of molecules in it")
    parser.add_argument("--students", nargs="*", default=["original", "tiny", "ultra-tiny"])
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    table = Table("molecule", "bond", "with", "barrier, eV", "after, eV", "stays there")
    found: dict = {}
    for molecule in read_molecules(arguments.source):
        start = hydrogen_bond(molecule)
        if start is None or (arguments.only and molecule.name not in arguments.only):
            continue
        symbols = molecule.atoms(start[0]).get_chemical_symbols()
        bond = f"{symbols[start[1]]}-H...{symbols[start[3]]}"
        found[molecule.name] = {}
        calculators = {"teacher": TeacherCalculator()} | {
            name: StudentCalculator(name) for name in arguments.students
        }
        for name, calculator in calculators.items():
            one = found[molecule.name][name] = way(molecule, start, calculator)
            cells = (f"{one['barrier']:.3f}", f"{one['after']:.3f}", str(one["crossed"]))
            table.add_row(molecule.name, bond, name, *cells)
    result = {**provenance(), "molecules": found}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    Console().print(table)


if __name__ == "__main__":
    main()
