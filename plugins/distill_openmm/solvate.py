"""A molecule in a box of water, ready for MD: GAFF2, Amber14's water and ions, PME."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit
from rdkit import Chem

from distill.cache import Say
from distill.data.molecules import Molecule, check, from_rdkit, read_sources
from distill.engine_arguments import check_choice
from distill.errors import DistillError
from distill_openmm.gaff import gaff_xml, start, template_name
from distill_openmm.prepared import Prepared

WATERS = {"tip3p": "tip3p", "tip3pfb": "tip3p", "spce": "spce", "opc3": "tip3p"}
"""Waters of amber14/NAME.xml, and the box of OpenMM's Modeller that is like it."""
UNIT_CELLS = {
    "dodecahedron": np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0.5**0.5]]),
    "octahedron": np.array([[1, 0, 0], [1 / 3, 8**0.5 / 3, 0], [-1 / 3, 2**0.5 / 3, 6**0.5 / 3]]),
    "cube": np.eye(3),
}
"""Vectors of unit length, each point of whose lattice is 1 away from the next."""


def solvate(
    molecule: Molecule | Chem.Mol | str | Path,
    positions: NDArray[np.float64] | None = None,
    *,
    water: str = "tip3p",
    padding: float = 12.0,
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
    """The molecule in water, neutralized by Na+ or Cl-.

    molecule: a Molecule, an RDKit Mol, a SMILES or a file. positions: (N, 3) in Å, else the
    molecule's own or a conformer. padding: Å of water on each side of the molecule. salt: NaCl in
    mol/L. cutoff: Å, of Lennard-Jones (switched off over the last Å, with the correction for what
    lies beyond) and of PME's direct part. hydrogen_mass: Da, of hydrogens that are not water's.
    charges, minutes, cache: see :func:`distill_openmm.gaff.gaff_xml`. The same arguments give the
    same box. Raises DistillError for a box smaller than twice the cutoff, and as gaff_xml does.
    """
    molecule = one_molecule(molecule)
    check_choice("water", water, WATERS)
    check_choice("box", box, UNIT_CELLS)
    where = start(molecule, positions)
    xml = gaff_xml(molecule, where, charges=charges, minutes=minutes, cache=cache, say=say)
    forcefield = app.ForceField("amber14-all.xml", f"amber14/{water}.xml", str(xml))
    topology = ligand_topology(molecule)
    model = app.Modeller(topology, where * 0.1 * unit.nanometer)
    templates = {next(topology.residues()): template_name(xml)}
    vectors = box_vectors(where, padding, box)
    say(f"Water around {molecule.name}")
    with seeded(seed):
        model.addSolvent(
            forcefield,
            model=WATERS[water],
            boxVectors=vectors,
            ionicStrength=salt * unit.molar,
            residueTemplates=templates,
        )
    templates = {next(model.topology.residues()): template_name(xml)}
    system = forcefield.createSystem(
        model.topology,
        nonbondedMethod=app.PME,
        nonbondedCutoff=0.1 * cutoff,
        switchDistance=0.1 * (cutoff - 1.0),
        constraints=app.HBonds,
        rigidWater=True,
        hydrogenMass=hydrogen_mass,
        residueTemplates=templates,
    )
    return Prepared(
        topology=model.topology,
        system=system,
        positions=np.array(model.positions.value_in_unit(unit.angstrom), dtype=np.float64),
        atoms=list(range(len(molecule))),
        box=10.0 * np.array([[*v] for v in vectors]),
        charge=molecule.charge,
        notes=tuple(molecule.notes),
    )


def one_molecule(source: Molecule | Chem.Mol | str | Path) -> Molecule:
    """What the user gave, as a Molecule; DistillError for several, and as read_molecules does."""
    if isinstance(source, Molecule):
        return source
    if isinstance(source, Chem.Mol):
        mol = Chem.AddHs(source, addCoords=source.GetNumConformers() > 0)
        shown = [c.GetPositions() for c in mol.GetConformers() if c.Is3D()]
        molecule = from_rdkit(mol, positions=shown)
        check(molecule)
        return molecule
    molecules = read_sources([str(source)])
    if len(molecules) != 1:
        raise DistillError(f"{source} holds {len(molecules)} molecules; give one.")
    return molecules[0]


def ligand_topology(molecule: Molecule, name: str = "LIG") -> app.Topology:
    """A Topology of one residue with the molecule's bonds."""
    topology = app.Topology()
    residue = topology.addResidue(name, topology.addChain())
    atoms = []
    seen: dict[str, int] = {}
    for z in molecule.numbers:
        element = app.Element.getByAtomicNumber(int(z))
        seen[element.symbol] = seen.get(element.symbol, 0) + 1
        atoms.append(topology.addAtom(f"{element.symbol}{seen[element.symbol]}", element, residue))
    assert molecule.rdmol is not None
    for bond in molecule.rdmol.GetBonds():
        topology.addBond(atoms[bond.GetBeginAtomIdx()], atoms[bond.GetEndAtomIdx()])
    return topology


def box_vectors(positions: NDArray[np.float64], padding: float, shape: str) -> list[openmm.Vec3]:
    """Rows, in nm, of a box with ``padding`` Å on each side of the sphere around positions (Å).

    OpenMM's own ``padding`` is what lies between two copies, and at least twice that for a small
    molecule.
    """
    middle = 0.5 * (positions.min(axis=0) + positions.max(axis=0))
    radius = float(np.linalg.norm(positions - middle, axis=1).max())
    return [openmm.Vec3(*(0.2 * (radius + padding) * row)) for row in UNIT_CELLS[shape]]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Python's random numbers, which OpenMM's Modeller uses, from a seed; the user's go on after."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
