"""A molecule in a box of water, ready for MD: GAFF2, Amber14's water and ions, PME."""

from pathlib import Path

import numpy as np
import openmm
from ase.data import atomic_masses
from numpy.typing import NDArray
from openmm import app, unit
from rdkit import Chem

from distill.cache import Say
from distill.data.molecules import Molecule, check, from_rdkit, read_one
from distill.errors import DistillError
from distill_openmm.gaff import gaff_notes, gaff_xml, start, template_name
from distill_openmm.prepared import Prepared, angstroms
from distill_openmm.surroundings import Surroundings, force_field
from distill_openmm.topology import topology_of

NAME = "LIG"
WATER = "O"
"""Its SMILES."""


def solvate(
    molecule: Molecule | Chem.Mol | str | Path,
    positions: NDArray[np.float64] | None = None,
    *,
    solvent: str | None = "water",
    water: str = "tip3p",
    padding: float | None = None,
    salt: float = 0.0,
    box: str = "dodecahedron",
    cutoff: float = 9.0,
    hydrogen_mass: float | None = None,
    charges: str | Path = "am1-bcc",
    minutes: float = 10.0,
    seed: int = 0,
    cache: Path | None = None,
    say: Say = print,
) -> Prepared:
    """The molecule in water, neutralized by Na+ or Cl-; its residue is LIG.

    molecule: a Molecule, an RDKit Mol, a SMILES or a file. positions: (N, 3) in Å, else the
    molecule's own or a conformer. solvent to hydrogen_mass, and seed: see
    :class:`distill_openmm.surroundings.Surroundings`. charges, minutes, cache: see
    :func:`distill_openmm.gaff.gaff_xml`. The same arguments give the same box. A water molecule
    has the parameters of the others, but is not rigid. Raises DistillError for a box smaller than
    twice the cutoff, and as gaff_xml does.
    """
    around = Surroundings(solvent, water, padding, salt, box, cutoff, hydrogen_mass, seed)
    molecule = as_molecule(molecule)
    where = start(molecule, positions)
    parameters = Ligand.of(molecule, where, charges, minutes, cache, say)
    forcefield = force_field(around.files(protein=False), *parameters.files)
    model = app.Modeller(ligand_topology(molecule), where * 0.1 * unit.nanometer)
    named = {0: parameters.template}
    if solvent == "water":
        say(f"Water around {molecule.name}")
    around.put(model, forcefield, named)
    system = around.system(model.topology, forcefield, named)
    return prepared(model, system, molecule, 0, parameters.notes)


class Ligand:
    """The parameters of a molecule: force-field files, the template's name, notes."""

    def __init__(self, files: list[Path], template: str, notes: tuple[str, ...]):
        self.files, self.template, self.notes = files, template, notes

    @classmethod
    def of(
        cls,
        molecule: Molecule,
        positions: NDArray[np.float64],
        charges: str | Path,
        minutes: float,
        cache: Path | None,
        say: Say,
    ) -> "Ligand":
        """GAFF2's; a water's are those of the other waters."""
        if molecule.smiles == WATER:
            return cls([], "HOH", ())
        xml = gaff_xml(molecule, positions, charges=charges, minutes=minutes, cache=cache, say=say)
        return cls([xml], template_name(xml), gaff_notes(xml))


def prepared(
    model: app.Modeller,
    system: openmm.System,
    molecule: Molecule,
    first: int,
    notes: tuple[str, ...],
) -> Prepared:
    """What MD starts from; ``first`` is the index of the molecule's first atom."""
    for i, (z, mass) in enumerate(zip(molecule.numbers, molecule.masses), start=first):
        if mass != atomic_masses[z]:  # an isotope, which OpenMM's elements do not know
            more = system.getParticleMass(i) + (mass - atomic_masses[z]) * unit.dalton
            system.setParticleMass(i, more)
    vectors = model.topology.getPeriodicBoxVectors()
    return Prepared(
        topology=model.topology,
        system=system,
        positions=angstroms(model.positions),
        atoms=list(range(first, first + len(molecule))),
        box=None if vectors is None else np.array(vectors.value_in_unit(unit.angstrom)),
        charge=molecule.charge,
        notes=(*molecule.notes, *notes),
    )


def as_molecule(source: Molecule | Chem.Mol | str | Path) -> Molecule:
    """What the user gave, as a Molecule; DistillError for several, and as read_molecules does."""
    if isinstance(source, Molecule):
        return source
    if isinstance(source, Chem.Mol):
        mol = Chem.AddHs(source, addCoords=source.GetNumConformers() > 0)
        shown = [c.GetPositions() for c in mol.GetConformers() if c.Is3D()]
        molecule = from_rdkit(mol, positions=shown)
        check(molecule)
        return molecule
    if not isinstance(source, (str, Path)):
        raise DistillError(
            f"The molecule is of the type {type(source).__name__}; give a SMILES, a file, an RDKit "
            "Mol or a Molecule."
        )
    return read_one(str(source))


def ligand_topology(molecule: Molecule) -> app.Topology:
    """A Topology of one residue, LIG, with the molecule's bonds, as force fields match it: without
    isotopes, which they do not know."""
    if molecule.rdmol is None:
        raise DistillError(
            f"The bonds of {molecule.name} are not known, and a force field needs them; give an "
            "SDF file or a SMILES."
        )
    return topology_of(molecule, NAME, isotopes=False)
