"""A molecule in water for the scripts beside this one: from a SMILES, or from Amber's files."""

import argparse
from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit

from distill_openmm.prepared import Prepared
from distill_openmm.region import is_water

IONS = {"NA", "CL", "K", "Na+", "Cl-", "K+", "NA+", "CL-"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How the system is named on the command line."""
    parser.add_argument("source", nargs="?", help="SMILES or file of the molecule")
    parser.add_argument("--prmtop", type=Path, help="instead: Amber's files of all")
    parser.add_argument("--inpcrd", type=Path)


def prepared(arguments: argparse.Namespace) -> Prepared:
    """The molecule, and the force field of it and its water."""
    if arguments.prmtop is None:
        from distill_openmm.solvate import solvate

        return solvate(arguments.source)
    return by_amber(arguments.prmtop, arguments.inpcrd)


def by_amber(top: Path, crd: Path) -> Prepared:
    """What is neither water nor an ion is the student's."""
    coordinates = app.AmberInpcrdFile(str(crd))
    vectors = coordinates.getBoxVectors()
    prmtop = app.AmberPrmtopFile(str(top), periodicBoxVectors=vectors)
    system = prmtop.createSystem(
        nonbondedMethod=app.PME,
        nonbondedCutoff=0.9 * unit.nanometer,
        switchDistance=0.8 * unit.nanometer,
        constraints=app.HBonds,
    )
    atoms = [
        atom.index
        for residue in prmtop.topology.residues()
        if not is_water(residue) and residue.name not in IONS
        for atom in residue.atoms()
    ]
    return Prepared(
        prmtop.topology,
        system,
        np.array(coordinates.getPositions(asNumpy=True).value_in_unit(unit.angstrom)),
        atoms,
        np.array([[*v] for v in vectors.value_in_unit(unit.angstrom)]),
    )


def ligand(wet: Prepared) -> Prepared:
    """The student's atoms alone, in vacuum."""
    positions = wet.positions * 0.1 * unit.nanometer
    model = app.Modeller(wet.topology, positions)
    chosen = set(wet.atoms)
    model.delete([atom for atom in model.topology.atoms() if atom.index not in chosen])
    model.topology.setPeriodicBoxVectors(None)
    return Prepared(model.topology, None, wet.positions[wet.atoms], list(range(len(chosen))))


def context(
    system: openmm.System, integrator: openmm.Integrator, platform: str, threads: int = 1
) -> openmm.Context:
    """On Reference, or on CPU with a number of threads."""
    properties = {"Threads": str(threads)} if platform == "CPU" else {}
    return openmm.Context(system, integrator, openmm.Platform.getPlatform(platform), properties)
