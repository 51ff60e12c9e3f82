"""Fragments of the drugs: what BRICS cuts them into, and their ring systems.

Small molecules are cheap to label, and there is little that a drug's atom sees which is not in one
of them. BRICS: Degen, Wegscheid-Gerlach, Zaliani, Rarey, ChemMedChem 3, 1503 (2008). What was cut
off is replaced by hydrogen. A fragment belongs to the split of its own scaffold, and comes from a
drug of that split.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from rdkit import Chem
from rdkit.Chem import BRICS

from distill.data.molecules import Molecule, closed_shells, quietly
from distill.data.sets.drugs import drugs
from distill.data.sets.split import split_of

HEAVY_ATOMS = range(3, 25)


@lru_cache(maxsize=1)
def fragments() -> tuple[Molecule, ...]:
    """All of them, named by their SMILES."""
    whole = {drug.smiles for drug in drugs()}
    return closed_shells(
        smiles
        for drug in drugs()
        for smiles in pieces(drug.smiles or "")
        if smiles not in whole and split_of(smiles) == split_of(drug.smiles or "")
    )


def pieces(smiles: str) -> list[str]:
    """Canonical SMILES of a molecule's fragments, of 3 to 24 heavy atoms."""
    mol = Chem.MolFromSmiles(smiles)
    found = set()
    for cut in [*sorted(BRICS.BRICSDecompose(mol)), *ring_systems(mol)]:
        piece = of_size(capped(cut))
        if piece:
            found.add(piece)
    return sorted(found)


def of_size(smiles: str, heavy_atoms: range = HEAVY_ATOMS) -> str:
    """The canonical SMILES; empty for what is no molecule, or has too few or many heavy atoms."""
    mol = quietly(Chem.MolFromSmiles, smiles)
    if mol is None or mol.GetNumHeavyAtoms() not in heavy_atoms:
        return ""
    return str(Chem.MolToSmiles(mol))


def ring_systems(mol: Chem.Mol) -> Iterator[str]:
    """Fused and spiro rings with what is bound to them by a double bond; cuts are dummy atoms."""
    systems: list[set[int]] = []
    for ring in mol.GetRingInfo().AtomRings():
        joined = set(ring)
        for system in [s for s in systems if s & joined]:
            joined |= system
            systems.remove(system)
        systems.append(joined)
    for system in systems:
        kept = system | {
            bond.GetOtherAtomIdx(k)
            for k in system
            for bond in mol.GetAtomWithIdx(k).GetBonds()
            if bond.GetBondType() == Chem.BondType.DOUBLE
        }
        cuts = [
            bond.GetIdx()
            for bond in mol.GetBonds()
            if (bond.GetBeginAtomIdx() in kept) != (bond.GetEndAtomIdx() in kept)
        ]
        whole = Chem.FragmentOnBonds(mol, cuts) if cuts else mol
        for atoms in Chem.GetMolFrags(whole):
            if kept & set(atoms):
                yield Chem.MolFragmentToSmiles(whole, atoms)


def capped(smiles: str) -> str:
    """Dummy atoms replaced by hydrogens; empty when that is no molecule."""
    mol = quietly(Chem.MolFromSmiles, smiles)
    if mol is None:
        return ""
    mol = Chem.RWMol(mol)
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() == 0:
            atom.SetAtomicNum(1)
            atom.SetIsotope(0)
            atom.SetNoImplicit(True)
    mol = quietly(Chem.RemoveHs, mol, sanitize=False)
    mol = quietly(Chem.MolFromSmiles, Chem.MolToSmiles(mol))
    return Chem.MolToSmiles(mol) if mol is not None else ""
