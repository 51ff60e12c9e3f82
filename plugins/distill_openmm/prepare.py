"""From what the user names to a ``Prepared``."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from distill.data.explore import first_geometries
from distill.data.molecules import Molecule, read_molecules
from distill.errors import DistillError
from distill.md.source import Source
from distill.student import Student
from distill_openmm.prepared import Prepared
from distill_openmm.topology import topology_of

Say = Callable[[str], None]


def prepare(source: Source, student: Student, seed: int, cutoff: float, say: Say) -> Prepared:
    """Builds what a run starts from. cutoff: of the classical forces, in Å. say: tells what takes
    long."""
    if source.molecule:
        molecule = one_molecule(source)
        student.check_elements(molecule.numbers)
        start = first_geometries(molecule, 1, seed)[0]
        if source.solvent == "water":
            from distill_openmm.solvate import solvate

            return solvate(
                molecule, start, water=source.water_model, padding=source.padding,
                salt=source.salt, cutoff=cutoff, charges=source.charges, say=say,
            )  # fmt: skip
        return in_vacuum(molecule, start)
    if source.complex:
        from distill_openmm.complexes import complex_in_water

        return complex_in_water(
            source.complex, source.ligand, water=source.water_model, padding=source.padding,
            salt=source.salt, ph=source.ph, cutoff=cutoff, charges=source.charges, say=say,
        )  # fmt: skip
    if source.prmtop:
        from distill_openmm.complexes import from_amber

        return from_amber(source.prmtop, source.inpcrd, source.ml, cutoff=cutoff)
    if source.system:
        from distill_openmm.complexes import from_system

        return from_system(source.system, source.pdb, source.ml)
    from distill_openmm.complexes import from_force_field

    return from_force_field(source.pdb, source.force_field, source.ml, cutoff=cutoff)


def in_vacuum(molecule: Molecule, positions: np.ndarray) -> Prepared:
    """The molecule alone; positions (N, 3) in Å."""
    return Prepared(
        topology_of(molecule), None, np.asarray(positions), list(range(len(molecule))),
        charge=molecule.charge, notes=molecule.notes,
    )  # fmt: skip


def one_molecule(source: Source) -> Molecule:
    """The molecule that the source names; of the folder of a run, that run's."""
    given, charge, spin, largest = (
        source.molecule, source.charge, source.spin, source.largest_fragment,
    )  # fmt: skip
    if Path(given).is_dir():
        settings = of_run(Path(given))
        given, charge, spin, largest = (
            settings["source"], settings.get("charge"), settings.get("spin"),
            settings.get("largest_fragment", False),
        )  # fmt: skip
    found = read_molecules(given, charge=charge, spin=spin, largest_fragment=largest)
    if len(found) > 1:
        names = ", ".join(molecule.name for molecule in found[:5])
        raise DistillError(
            f"{given} holds {len(found)} molecules ({names}{', ...' * (len(found) > 5)}), and MD "
            "is of one; give a file of that one, or its SMILES."
        )
    return found[0]


def of_run(folder: Path) -> dict[str, Any]:
    """The settings of the ``distill run`` in a folder."""
    try:
        found = json.loads((folder / "run.json").read_text())["settings"]
        assert isinstance(found, dict) and "source" in found
    except (OSError, ValueError, KeyError, AssertionError) as error:
        raise DistillError(
            f"{folder} is not the folder of a `distill run`; give that, a SMILES or a file."
        ) from error
    return found
