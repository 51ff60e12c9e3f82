"""A ligand in its protein: Amber14, GAFF2 and, where wanted, water."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit
from rdkit import Chem
from scipy.spatial import cKDTree

from distill.cache import Say
from distill.data.molecules import Molecule
from distill.errors import DistillError, reason
from distill_openmm.ligand_pose import fits, posed, symbol
from distill_openmm.prepared import Prepared, angstroms
from distill_openmm.ready_made import read_pdb
from distill_openmm.selection import WATER, called, one_residue, place, some, uncommon
from distill_openmm.solvate import Ligand, as_molecule, ligand_topology, prepared
from distill_openmm.surroundings import Surroundings, check_number, force_field, seeded

CLASH = 2.0
"""Å between heavy atoms of ligand and protein: no contact is as short, but a bond is."""
WATER_CLASH = 2.2
MENDED = "PDBFixer adds what is missing (pip install pdbfixer)"


def complex_in_water(
    pdb: str | Path,
    ligand: Molecule | Chem.Mol | str | Path,
    residue: str | None = None,
    *,
    solvent: str | None = "water",
    water: str = "tip3p",
    padding: float | None = None,
    salt: float = 0.0,
    box: str = "dodecahedron",
    cutoff: float = 9.0,
    hydrogen_mass: float | None = None,
    ph: float = 7.0,
    charges: str | Path = "am1-bcc",
    minutes: float = 10.0,
    seed: int = 0,
    cache: Path | None = None,
    say: Say = print,
) -> Prepared:
    """A protein of a PDB or mmCIF file with a ligand, the residue LIG; its waters and ions stay.

    ligand: an SDF or MOL2 file (or Molecule, RDKit Mol) with coordinates within the protein, or a
    SMILES, whose coordinates are those of the PDB's ``residue`` (its name or number; None: the one
    residue that has these atoms). Hydrogens are added where they lack, the protein's (with
    histidine's tautomers) by OpenMM's Modeller at ``ph``. The other arguments are those of
    :func:`distill_openmm.solvate.solvate`; without solvent, or with an implicit one, there is no
    box. Raises DistillError for a residue that is incomplete or that Amber14 does not know, for a
    ligand that is not there, clashes or has another charge, and as solvate does.
    """
    around = Surroundings(solvent, water, padding, salt, box, cutoff, hydrogen_mass, seed)
    check_number("ph", ph, 0.0, 14.0, "pH")
    molecule = as_molecule(ligand)
    ligand_topology(molecule)  # says when the bonds are not known
    topology, positions = read_pdb(pdb)
    molecule, gone, notes = placed(molecule, residue, topology, positions, str(pdb))
    where = molecule.positions[0]
    protein = app.Modeller(topology, positions * 0.1 * unit.nanometer)
    if gone:
        protein.delete(gone)
    notes += drop_waters(protein, where, molecule)
    check_clash(protein, where, molecule)
    amber = force_field(around.files())
    check_residues(protein.topology, amber, str(pdb))
    say(f"Hydrogens of {Path(pdb).name}")
    add_hydrogens(protein, amber, ph, seed, str(pdb))
    parameters = Ligand.of(molecule, where, charges, minutes, cache, say)
    forcefield = force_field(around.files(), *parameters.files)
    first, index = protein.topology.getNumAtoms(), protein.topology.getNumResidues()
    protein.add(ligand_topology(molecule), where * 0.1 * unit.nanometer)
    named = {index: parameters.template}
    if solvent == "water":
        say(f"Water around {Path(pdb).name}")
    else:
        protein.topology.setPeriodicBoxVectors(None)
    around.put(protein, forcefield, named)
    system = around.system(protein.topology, forcefield, named)
    return prepared(protein, system, molecule, first, (*notes, *parameters.notes))


def placed(
    molecule: Molecule,
    residue: str | None,
    topology: app.Topology,
    positions: NDArray[np.float64],
    pdb: str,
) -> tuple[Molecule, list[Any], tuple[str, ...]]:
    """The ligand with its coordinates in the protein; the residues of the PDB that it replaces."""
    if residue is not None:
        one = one_residue(topology, residue)
        return posed(molecule, one, positions), [one], ()
    like = [r for r in uncommon(topology) if fits(molecule, r, positions)]
    if molecule.positions:
        where = molecule.positions[0]
        there = [r for r in like if overlap(r, positions, where)]
        notes = tuple(
            f"The residue {called(r)} of {pdb} stands where {molecule.name} is, and was taken out."
            for r in there
        )
        return molecule, there, notes
    if len(like) == 1:
        return posed(molecule, like[0], positions), like, ()
    if like:
        raise DistillError(
            f"{pdb} has {len(like)} residues like {molecule.name} ({some(like)}); name one, such "
            f"as '{place(like[0])}' (--residue)."
        )
    others = ", ".join(sorted({r.name for r in uncommon(topology)})) or "none"
    raise DistillError(
        f"{molecule.name} has no coordinates, and no residue of {pdb} has its atoms (beside water, "
        f"ions and amino acids there are: {others}); give an SDF file of it within the protein."
    )


def overlap(
    residue: app.topology.Residue, positions: NDArray[np.float64], where: NDArray[np.float64]
) -> bool:
    """Whether most heavy atoms of a residue are on top of those at ``where``."""
    heavy = [a.index for a in residue.atoms() if symbol(a) not in ("", "H")]
    near, _ = cKDTree(where).query(positions[heavy])
    return bool(np.median(near) < 1.0)


def drop_waters(
    model: app.Modeller, where: NDArray[np.float64], molecule: Molecule
) -> tuple[str, ...]:
    """Takes out the PDB's waters that stand in the ligand; a note says how many."""
    heavy = cKDTree(where[molecule.numbers != 1])
    positions = angstroms(model.positions)
    inside = []
    for residue in model.topology.residues():
        oxygens = [a.index for a in residue.atoms() if symbol(a) == "O"]
        if residue.name in WATER and oxygens:
            if min(heavy.query(positions[oxygens])[0]) < WATER_CLASH:
                inside.append(residue)
    if not inside:
        return ()
    model.delete(inside)
    return (f"{len(inside)} water(s) of the PDB file stood in the ligand, and were taken out.",)


def check_clash(model: app.Modeller, where: NDArray[np.float64], molecule: Molecule) -> None:
    """DistillError where a heavy atom of the ligand is too near to one of the protein."""
    atoms = [a for a in model.topology.atoms() if symbol(a) not in ("", "H")]
    if not atoms:
        return
    numbers = np.flatnonzero(molecule.numbers != 1)
    positions = angstroms(model.positions)[[a.index for a in atoms]]
    distances, nearest = cKDTree(positions).query(where[numbers])
    worst = int(np.argmin(distances))
    other = atoms[nearest[worst]]
    ion = len(list(other.residue.atoms())) == 1
    if distances[worst] < (1.6 if ion else CLASH):
        raise DistillError(
            f"{molecule.name} clashes with the protein: its atom {numbers[worst]} is "
            f"{distances[worst]:.1f} Å from {other.name} of {called(other.residue)}; give a pose "
            "without (a ligand that is bound covalently: --prmtop)."
        )
    if distances.min() > 8.0:
        raise DistillError(
            f"{molecule.name} is {distances.min():.0f} Å away from the protein; give an SDF file "
            "with coordinates within it, or the residue of the PDB file that it is (--residue)."
        )


def check_residues(topology: app.Topology, amber: app.ForceField, pdb: str) -> None:
    """DistillError that names the residues which Amber14 does not know, or which lack heavy
    atoms."""
    known = amber._templates
    unknown, incomplete = [], []
    for residue in topology.residues():
        name = {"HIS": "HIE"}.get(residue.name, residue.name)
        have = {a.name for a in residue.atoms()}
        label = called(residue)
        if name not in known:
            # Amber's names of waters and ions are not always the PDB's
            if residue.name not in WATER and len(have) > 1:
                unknown.append(label)
            continue
        lacking = lacking_atoms(residue, known[name])
        outward = {a.name: 0 for a in residue.atoms()}
        for bond in residue.external_bonds():
            for atom in bond:
                if atom.residue is residue:
                    outward[atom.name] += 1
        if f"C{name}" in known and "C" in have and not outward["C"] and "OXT" not in have:
            lacking.append("OXT")
        if lacking and residue.name not in WATER:
            incomplete.append(f"{label} lacks {', '.join(lacking[:4])}")
    if unknown:
        few = ", ".join(unknown[:4]) + (", ..." if len(unknown) > 4 else "")
        raise DistillError(
            f"Amber14 does not know {few} of {pdb}; delete what does not matter, or give "
            "parameters of your own (--prmtop and --inpcrd)."
        )
    if incomplete:
        few = "; ".join(incomplete[:3]) + ("; ..." if len(incomplete) > 3 else "")
        raise DistillError(
            f"{pdb} is incomplete: {few} (atoms that the crystal does not show, or a gap in the "
            f"chain). {MENDED}."
        )


def lacking_atoms(residue: app.topology.Residue, template: Any) -> list[str]:
    """Names of the heavy atoms of a template that a residue has too few of, by their elements: not
    every program gives an atom the same name."""
    have = Counter(symbol(a) for a in residue.atoms())
    need = Counter(symbol(a) for a in template.atoms if symbol(a) not in ("", "H"))
    short = need - have
    names = {a.name for a in residue.atoms()}
    found = []
    for element, count in short.items():
        of_it = [a.name for a in template.atoms if symbol(a) == element and a.name not in names]
        found += of_it[-count:]
    return sorted(found)


def add_hydrogens(
    model: app.Modeller, amber: app.ForceField, ph: float, seed: int, pdb: str
) -> None:
    """OpenMM's, the same for the same seed; DistillError where it cannot."""
    try:
        with seeded(seed), reproducible_cpu() as platform:
            model.addHydrogens(amber, pH=ph, platform=platform)
    except (ValueError, KeyError, openmm.OpenMMException) as error:
        raise DistillError(
            f"Hydrogens cannot be added to {pdb}: {reason(error)}. {MENDED}."
        ) from error


@contextmanager
def reproducible_cpu() -> Iterator[openmm.Platform]:
    """The CPU platform with one thread, whose sums are always the same; after, it is as before."""
    platform = openmm.Platform.getPlatform("CPU")
    wanted = {"Threads": "1", "DeterministicForces": "true"}
    before = {name: platform.getPropertyDefaultValue(name) for name in wanted}
    try:
        for name, value in wanted.items():
            platform.setPropertyDefaultValue(name, value)
        yield platform
    finally:
        for name, value in before.items():
            platform.setPropertyDefaultValue(name, value)
