"""Amino acids and dipeptides with charged ends, and small molecules with an acid and an amine that
exchanged the proton.

A zwitterion belongs to the split of its own scaffold.
"""

from __future__ import annotations

from functools import lru_cache

from rdkit import Chem
from rdkit.Chem import rdChemReactions

from distill.data.molecules import Molecule, closed_shells
from distill.data.sets.drugs import drugs
from distill.data.sets.fragments import fragments
from distill.data.sets.ions import IONS
from distill.data.sets.peptides import RESIDUES
from distill.data.sets.split import split_of

ACID = rdChemReactions.ReactionFromSmarts("[C,S,P:1](=[O:2])[OX2H:3]>>[*:1](=[O:2])[O-:3]")
AMINE = rdChemReactions.ReactionFromSmarts("[NX3;+0;!$(N-[!#6;!#1]);!$(N-[#6]=,:,#*):1]>>[N+:1]")
LARGEST = 45
"""Heavy atoms."""


@lru_cache(maxsize=1)
def zwitterions() -> tuple[Molecule, ...]:
    """All of them, named by their SMILES."""
    single = [_free(residue) for residue in RESIDUES.values()]
    double = [
        _free(first + second)
        for k, first in enumerate(RESIDUES.values())
        for second in list(RESIDUES.values())[k % 3 :: 3]
    ]
    found = [s for s in (*single, *double) if s]
    found += [Chem.CanonSmiles(s) for s in IONS.values() if "+" in s and "-" in s]
    for kind in (fragments, drugs):
        found += [changed for molecule in kind() if (changed := exchanged(molecule.smiles or ""))]
    return closed_shells(dict.fromkeys(found))


def _free(chain: str) -> str:
    """A chain of residues with both ends charged."""
    mol = Chem.MolFromSmiles(
        chain.replace("N", "[NH2+]" if chain.startswith("N1") else "[NH3+]", 1) + "[O-]"
    )
    return Chem.MolToSmiles(mol) if mol is not None else ""


def exchanged(smiles: str) -> str:
    """The canonical SMILES with an acid's proton on an aliphatic amine, at the first place of each;
    empty where there is no such pair, and where the molecule is charged already."""
    mol = Chem.MolFromSmiles(smiles)
    if (
        mol is None
        or mol.GetNumHeavyAtoms() > LARGEST
        or any(a.GetFormalCharge() for a in mol.GetAtoms())
    ):
        return ""
    for reaction in (ACID, AMINE):
        products = reaction.RunReactants((mol,))
        if not products:
            return ""
        mol = products[0][0]
        Chem.SanitizeMol(mol)
    found = Chem.MolToSmiles(mol)
    return found if split_of(found) == split_of(smiles) else ""
