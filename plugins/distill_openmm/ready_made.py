"""Systems whose force field the user has already: Amber's files, OpenMM's XML."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

from distill.data.molecules import Molecule
from distill.engine_arguments import check_choice
from distill.errors import DistillError, reason
from distill_openmm.prepared import Prepared, angstroms
from distill_openmm.region import bonded_by_terms, classical_charge, constrained
from distill_openmm.selection import select
from distill_openmm.skeleton import mappings, skeleton, skeleton_of
from distill_openmm.surroundings import (
    check_box,
    check_cutoff,
    check_hydrogen_mass,
    force_field,
    periodic,
)
from distill_openmm.wrap import whole

IMPLICIT = {None: None, "obc2": app.OBC2, "gbn2": app.GBn2}


def from_amber(
    prmtop: str | Path,
    inpcrd: str | Path,
    ml: str | Iterable[int],
    *,
    cutoff: float = 9.0,
    hydrogen_mass: float | None = None,
    solvent: str | None = None,
    molecule: Molecule | None = None,
) -> Prepared:
    """A prmtop with its coordinates (inpcrd, rst7 or NetCDF restart): PME where it has a box.

    ml: the student's atoms, see :func:`distill_openmm.selection.select`. cutoff: Å, of
    Lennard-Jones, switched off over the last Å, and of PME. hydrogen_mass: Da. solvent: None,
    "obc2" or "gbn2" (implicit, without a box). molecule: what the student's atoms shall be, to be
    checked. Raises DistillError for files that do not fit.
    """
    check_choice("solvent", solvent, IMPLICIT)
    check_cutoff(cutoff)
    check_hydrogen_mass(hydrogen_mass)
    amber = read(app.AmberPrmtopFile, prmtop, "an Amber prmtop")
    coordinates = read(app.AmberInpcrdFile, inpcrd, "Amber coordinates (inpcrd, rst7)")
    positions = angstroms(coordinates.getPositions(asNumpy=True))
    topology = amber.topology
    check_count(topology, len(positions), prmtop, inpcrd)
    vectors = coordinates.boxVectors
    boxed = topology.getPeriodicBoxVectors() is not None
    if vectors is None or not boxed:
        vectors = topology.getPeriodicBoxVectors()
    if vectors is not None:
        topology.setPeriodicBoxVectors(vectors)
        if solvent is not None:
            raise DistillError(
                f"{prmtop} has a box of its own; implicit solvent is for those without one: leave "
                "it out."
            )
        check_box(vectors.value_in_unit(unit.nanometer), cutoff, cutoff)
    method = {"nonbondedMethod": app.NoCutoff} if vectors is None else periodic(cutoff)
    atoms = select(topology, ml)
    try:
        system = amber.createSystem(
            **method,
            constraints=app.HBonds,
            rigidWater=True,
            hydrogenMass=hydrogen_mass,
            implicitSolvent=IMPLICIT[solvent],
        )
    except (ValueError, KeyError, TypeError, openmm.OpenMMException) as error:
        raise DistillError(
            f"OpenMM makes no System of {prmtop}: {reason(error)}; check the file."
        ) from error
    if vectors is not None:
        system.setDefaultPeriodicBoxVectors(*vectors)
    return ready(topology, system, positions, atoms, vectors, molecule)


def from_system(
    xml: str | Path, pdb: str | Path, ml: str | Iterable[int], *, molecule: Molecule | None = None
) -> Prepared:
    """A System as OpenMM's XmlSerializer writes it, with a PDB (or mmCIF) file of its particles.

    ml: see :func:`distill_openmm.selection.select`. molecule: as in :func:`from_amber`. The box is
    the System's. Raises DistillError for files that do not fit.
    """
    system = read(lambda file: openmm.XmlSerializer.deserialize(Path(file).read_text()), xml, "XML")
    if not isinstance(system, openmm.System):
        kind = type(system).__name__
        raise DistillError(
            f"{xml} holds no System but a {kind}; write one by XmlSerializer.serialize(system)."
        )
    topology, positions = read_pdb(pdb)
    check_count(topology, system.getNumParticles(), pdb, xml)
    for atom in topology.atoms():
        mass = system.getParticleMass(atom.index).value_in_unit(unit.dalton)
        if atom.element is None or mass == 0:
            continue
        # repartitioning makes hydrogens up to 4 Da heavy, and others lighter
        if (mass < 4.5) != (atom.element.atomic_number == 1):
            raise DistillError(
                f"Atom {atom.index} is {atom.element.symbol} in {pdb}, but weighs {mass:g} Da in "
                f"{xml}; give the two files of one system, their atoms in the same order."
            )
    vectors = None
    if system.usesPeriodicBoundaryConditions():
        rows = system.getDefaultPeriodicBoxVectors()
        vectors = [row.value_in_unit(unit.nanometer) for row in rows] * unit.nanometer
    topology.setPeriodicBoxVectors(vectors)
    return ready(topology, system, positions, select(topology, ml), vectors, molecule)


def from_force_field(
    pdb: str | Path,
    files: str | Path | Iterable[str | Path],
    ml: str | Iterable[int],
    *,
    cutoff: float = 9.0,
    hydrogen_mass: float | None = None,
    molecule: Molecule | None = None,
) -> Prepared:
    """A PDB (or mmCIF) file, complete as it is, with OpenMM's force-field files (XML).

    ml, cutoff, hydrogen_mass, molecule: as in :func:`from_amber`. Raises DistillError where a
    residue has no template.
    """
    check_cutoff(cutoff)
    check_hydrogen_mass(hydrogen_mass)
    several = [files] if isinstance(files, (str, Path)) else list(files)
    forcefield = force_field([str(file) for file in several])
    topology, positions = read_pdb(pdb)
    vectors = topology.getPeriodicBoxVectors()
    if vectors is not None:
        check_box(vectors.value_in_unit(unit.nanometer), cutoff, cutoff)
    atoms = select(topology, ml)
    try:
        system = forcefield.createSystem(
            topology,
            **({"nonbondedMethod": app.NoCutoff} if vectors is None else periodic(cutoff)),
            constraints=app.HBonds,
            rigidWater=True,
            hydrogenMass=hydrogen_mass,
        )
    except (ValueError, KeyError) as error:
        raise DistillError(
            f"The force-field files do not fit {pdb}: {reason(error)}; add the file that has it, "
            "or mend the PDB file."
        ) from error
    return ready(topology, system, positions, atoms, vectors, molecule)


def ready(
    topology: app.Topology,
    system: openmm.System,
    positions: NDArray[np.float64],
    atoms: list[int],
    vectors: Any,
    molecule: Molecule | None,
) -> Prepared:
    """What MD starts from; molecules that the border of the box cut are whole again."""
    if molecule is not None:
        check_like(topology, atoms, classical_charge(system, atoms), molecule)
    box = None if vectors is None else np.array(vectors.value_in_unit(unit.angstrom), dtype=float)
    if box is not None:
        bonds = [(bond.atom1.index, bond.atom2.index) for bond in topology.bonds()]
        positions = whole(positions, [*bonds, *constrained(system), *bonded_by_terms(system)], box)
    return Prepared(topology, system, positions, atoms, box, classical_charge(system, atoms))


def check_like(
    topology: app.Topology, atoms: list[int], charge: int | None, molecule: Molecule
) -> None:
    """DistillError where the chosen atoms are not those of ``molecule``, in whatever order."""
    place = {index: k for k, index in enumerate(atoms)}
    every = list(topology.atoms())
    numbers = [0 if (e := every[i].element) is None else e.atomic_number for i in atoms]
    bonds = [
        (place[b.atom1.index], place[b.atom2.index])
        for b in topology.bonds()
        if b.atom1.index in place and b.atom2.index in place
    ]
    same = sorted(numbers) == sorted(molecule.numbers.tolist())
    if same and molecule.rdmol is not None and bonds:
        same = bool(mappings(skeleton_of(molecule.rdmol)[0], skeleton(numbers, bonds)))
    if not same:
        raise DistillError(
            f"The student's {len(atoms)} atoms are not {molecule.name} ({len(molecule)} atoms): "
            "elements or bonds differ; give the parameters of this molecule, or another selection."
        )
    if charge is not None and charge != molecule.charge:
        raise DistillError(
            f"The classical charges of the student's atoms add up to {charge:+d}, but "
            f"{molecule.name} is {molecule.charge:+d}; give the parameters of this charge."
        )


def read_pdb(file: str | Path) -> tuple[app.Topology, NDArray[np.float64]]:
    """Topology and positions (N, 3) in Å of a PDB or mmCIF file."""
    cif = Path(file).suffix.lower() in (".cif", ".mmcif", ".pdbx")
    structure = read(app.PDBxFile if cif else app.PDBFile, file, "a PDB file")
    if not structure.topology.getNumAtoms():
        raise DistillError(f"{file} holds no atoms; give a PDB file.")
    return structure.topology, angstroms(structure.getPositions(asNumpy=True))


def read(reader: Any, file: str | Path, what: str) -> Any:
    """What OpenMM reads; DistillError for a file that is not there or of another kind."""
    if not Path(file).is_file():
        raise DistillError(f"There is no file {file}; check its name.")
    try:
        return reader(str(file))
    except Exception as error:  # OpenMM's readers raise anything
        raise DistillError(
            f"{file} cannot be read as {what}: {reason(error)}; check it."
        ) from error


def check_count(topology: app.Topology, count: int, one: str | Path, other: str | Path) -> None:
    """DistillError for two files of unlike numbers of atoms."""
    if topology.getNumAtoms() != count:
        raise DistillError(
            f"{one} has {topology.getNumAtoms():,} atoms, but {other} {count:,}; give the two "
            "files of one system."
        )
