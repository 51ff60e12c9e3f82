"""From what the user names to a ``Prepared``."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from distill.cache import Say
from distill.data.explore import first_geometries
from distill.data.molecules import Molecule, read_one
from distill.errors import DistillError
from distill.md.source import Source
from distill.student import Student
from distill_openmm.complexes import complex_in_water
from distill_openmm.prepared import Prepared
from distill_openmm.ready_made import from_amber, from_force_field, from_system
from distill_openmm.selection import select
from distill_openmm.solvate import solvate
from distill_openmm.topology import topology_of

OPEN_SHELL = (
    "{} has unpaired electrons: a student is right for it only if it was trained on labels of it."
)


def prepare(source: Source, student: Student, seed: int, say: Say) -> Prepared:
    """Builds what a run starts from. say: tells what takes long. Raises DistillError as
    ``solvate``, ``complex_in_water`` and :mod:`distill_openmm.ready_made` do."""
    solvent = None if source.solvent == "none" else source.solvent
    around: dict[str, Any] = {
        "solvent": solvent, "water": source.water_model, "padding": source.padding,
        "salt": source.salt, "box": source.box, "cutoff": source.cutoff, "charges": source.charges,
        "minutes": source.charge_minutes, "seed": seed, "say": say,
    }  # fmt: skip
    if source.molecule:
        molecule = molecule_of(source)
        student.check_elements(molecule.numbers)
        student.check_charge(molecule.charge)
        start = first_geometries(molecule, 1, seed)[0]
        made = in_vacuum(molecule, start) if solvent is None else solvate(molecule, start, **around)
        if molecule.spin != 1:
            made = replace(made, notes=(*made.notes, OPEN_SHELL.format(molecule.name)))
        return made
    if source.complex:
        made = complex_in_water(
            source.complex, source.ligand, source.residue or None, ph=source.ph, **around
        )
        if source.ml:
            more = {*made.atoms, *select(made.topology, source.ml)}
            made = replace(made, atoms=sorted(more), charge=None)
        return made
    if source.prmtop:
        return from_amber(
            source.prmtop, source.inpcrd, source.ml, cutoff=source.cutoff, solvent=solvent
        )
    if source.system:
        return from_system(source.system, source.pdb, source.ml)
    return from_force_field(source.pdb, source.force_field, source.ml, cutoff=source.cutoff)


def in_vacuum(molecule: Molecule, positions: np.ndarray) -> Prepared:
    """The molecule alone; positions (N, 3) in Å."""
    return Prepared(
        topology_of(molecule), None, np.asarray(positions), list(range(len(molecule))),
        charge=molecule.charge, notes=molecule.notes,
    )  # fmt: skip


def molecule_of(source: Source) -> Molecule:
    """The molecule that the source names; of the folder of a run, that run's."""
    given, charge, spin, largest = (
        source.molecule, source.charge, source.spin, source.largest_fragment,
    )  # fmt: skip
    folder = Path(given)
    if (folder / "run.json").is_file():
        settings = of_run(folder)
        given, charge, spin, largest = (
            settings["source"], settings.get("charge"), settings.get("spin"),
            settings.get("largest_fragment", False),
        )  # fmt: skip
    try:
        return read_one(given, charge=charge, spin=spin, largest_fragment=largest)
    except DistillError as error:
        if os.path.isdir(given):
            raise DistillError(
                f"{given} is not the folder of a `distill run`; give that, a SMILES or a file."
            ) from error
        raise


def of_run(folder: Path) -> dict[str, Any]:
    """The settings of the ``distill run`` in a folder."""
    try:
        found = json.loads((folder / "run.json").read_text())["settings"]
        assert isinstance(found, dict) and "source" in found
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise DistillError(f"{folder / 'run.json'} is damaged; give a SMILES or a file.") from error
    return found
