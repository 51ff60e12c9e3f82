"""A ligand's chemistry (SMILES, SDF) laid upon the coordinates of a residue in a PDB file."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from openmm import app
from rdkit import Chem
from rdkit.Geometry import Point3D

from distill.data.molecules import Molecule, from_rdkit, quietly
from distill.errors import DistillError
from distill.student.environments import bonded
from distill_openmm.selection import called
from distill_openmm.skeleton import mappings, skeleton, skeleton_of


def fits(molecule: Molecule, residue: app.topology.Residue, positions: NDArray[np.float64]) -> bool:
    """Whether a residue has the heavy atoms and the bonds among them of a molecule."""
    assert molecule.rdmol is not None
    heavy, _ = skeleton_of(molecule.rdmol, heavy=True)
    seen, _ = residue_skeleton(residue, positions, heavy=True)
    return bool(mappings(heavy, seen))


def posed(
    molecule: Molecule, residue: app.topology.Residue, positions: NDArray[np.float64]
) -> Molecule:
    """The molecule with one geometry, that of the residue; hydrogens that it lacks are added.

    positions: (M, 3) in Å, of the whole file. Raises DistillError for a residue of other atoms, of
    another charge, or with other hydrogens. Where the molecule leaves its stereochemistry open,
    or says another, the residue's is taken, and a note says so.
    """
    mol = molecule.rdmol
    assert mol is not None
    where = f"The residue {called(residue)}"
    atoms = list(residue.atoms())
    hydrogens = sum(symbol(a) == "H" for a in atoms)
    wanted = int((molecule.numbers == 1).sum())
    heavy, kept = skeleton_of(mol, heavy=True)
    seen, places = residue_skeleton(residue, positions, heavy=True)
    ways = mappings(heavy, seen)
    if not ways:
        raise DistillError(
            f"{where} has {len(places)} heavy atoms, and they or their bonds are not those of "
            f"{molecule.name} ({len(kept)}); give the SMILES or SDF file of this ligand."
        )
    given = [a.formalCharge for a in atoms if a.formalCharge is not None]
    if given and sum(given) != molecule.charge:
        raise DistillError(
            f"{where} has the charge {sum(given):+d} in the PDB file, but {molecule.name} "
            f"{molecule.charge:+d}; give a SMILES or SDF file of the right charge, or mend the PDB "
            "file's last column."
        )
    if hydrogens:
        everything, kept = skeleton_of(mol)
        seen, places = residue_skeleton(residue, positions, heavy=False)
        ways = mappings(everything, seen)
        if not ways:
            raise DistillError(
                f"{where} has {hydrogens} hydrogens, but {molecule.name} {wanted}, or at other "
                "atoms; give the SMILES or SDF file of this charge and tautomer, or take the "
                "ligand's hydrogens out of the PDB file."
            )
    laid = [on_coordinates(mol, kept, places, way, positions) for way in ways[:64]]
    asked = Chem.MolToSmiles(quietly(Chem.RemoveHs, mol))
    found = [Chem.MolToSmiles(quietly(Chem.RemoveHs, one)) for one in laid]
    # a symmetric ligand has several ways, and of the molecule's own isomer is whichever fits
    chosen = found.index(asked) if asked in found else 0
    notes = molecule.notes
    if asked not in found:
        notes = (
            f"{where} is another stereoisomer than {asked}: that of the PDB file is taken, "
            f"{found[chosen]}.",
        )
    if not hydrogens and wanted:
        notes = (*notes, f"{where} has no hydrogens; {wanted} were added.")
    result = from_rdkit(laid[chosen], molecule.name, [laid[chosen].GetConformer().GetPositions()])
    return replace(result, notes=notes)


def on_coordinates(
    mol: Chem.Mol,
    kept: list[int],
    places: list[int],
    way: tuple[int, ...],
    positions: NDArray[np.float64],
) -> Chem.Mol:
    """The Mol with the coordinates of a residue, its other atoms placed by RDKit, and the
    stereochemistry of these coordinates."""
    chosen = Chem.RWMol(mol)
    chosen.RemoveAllConformers()
    lacking = len(kept) < mol.GetNumAtoms()
    if lacking:
        bare = quietly(Chem.RemoveAllHs, chosen)
        # RemoveAllHs keeps the order of the heavy atoms
        conformer = Chem.Conformer(bare.GetNumAtoms())
        for k, i in enumerate(way):
            conformer.SetAtomPosition(k, Point3D(*map(float, positions[places[i]])))
        bare.AddConformer(conformer)
        result = Chem.AddHs(bare, addCoords=True)
    else:
        conformer = Chem.Conformer(mol.GetNumAtoms())
        for k, i in enumerate(way):
            conformer.SetAtomPosition(kept[k], Point3D(*map(float, positions[places[i]])))
        chosen.AddConformer(conformer)
        result = chosen.GetMol()
    quietly(Chem.AssignStereochemistryFrom3D, result)
    return result


def residue_skeleton(
    residue: app.topology.Residue, positions: NDArray[np.float64], heavy: bool
) -> tuple[Chem.Mol, list[int]]:
    """Of a residue; and its atoms' indices. Bonds are the file's, else near atoms are bonded."""
    atoms = [a for a in residue.atoms() if symbol(a) != "" and not (heavy and symbol(a) == "H")]
    indices = [a.index for a in atoms]
    place = {index: k for k, index in enumerate(indices)}
    numbers = np.array([a.element.atomic_number for a in atoms])
    pairs = {
        (place[b.atom1.index], place[b.atom2.index])
        for b in residue.internal_bonds()
        if b.atom1.index in place and b.atom2.index in place
    }
    if not pairs and len(atoms) > 1:
        near = bonded(numbers, positions[indices], None, False)
        pairs = {(int(i), int(j)) for i, j in zip(*near) if i < j}
    return skeleton(numbers, pairs), indices


def symbol(atom: app.topology.Atom) -> str:
    """Of the element; "" for what has none."""
    return "" if atom.element is None else atom.element.symbol
