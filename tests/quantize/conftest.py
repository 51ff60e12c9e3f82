"""Geometries with every element that the shipped students have learned."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from distill.data.explore import first_geometries
from distill.data.molecules import from_smiles

SMILES = ("FC(Cl)(Br)I", "CSCCOP(=O)(O)O", "NCC(=O)O", "c1ccncc1", "CC(N)CO", "Clc1ccc(F)cc1")


def rattled(seed: int) -> list[Atoms]:
    """Several geometries of each molecule; their labels are nonsense."""
    found = []
    for smiles in SMILES:
        molecule = from_smiles(smiles)
        start = first_geometries(molecule, 1, 0)[0]
        for k in range(4):
            atoms = molecule.atoms(start)
            atoms.rattle(0.05, seed=100 * seed + k)
            forces = np.full((len(atoms), 3), 7.0)
            atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=forces)
            found.append(atoms)
    return found


@pytest.fixture(scope="session")
def geometries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("calibration") / "geometries.xyz"
    ase.io.write(file, rattled(1), format="extxyz")
    return file


@pytest.fixture(scope="session")
def others() -> list[Atoms]:
    """Other geometries of the same molecules."""
    return rattled(2)
