"""Molecules put together anew from the drugs' fragments, at the bonds that BRICS cuts.

There are only some thousand drugs, and what a student gets wrong of a new one is mostly what it has
seen in too few surroundings. These are smaller than drugs, so their labels are cheaper. BRICS:
Degen, Wegscheid-Gerlach, Zaliani, Rarey, ChemMedChem 3, 1503 (2008). A molecule belongs to the
split of its own scaffold, and its pieces come from drugs of that split.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from rdkit import Chem
from rdkit.Chem import BRICS

from distill.data.molecules import Molecule, closed_shells
from distill.data.sets.drugs import drugs
from distill.data.sets.fragments import capped, of_size
from distill.data.sets.split import SPLITS, split_of

PIECES = range(1, 13)
"""Heavy atoms of what is put together."""
HEAVY_ATOMS = range(9, 25)
DRAWS = {"train": 9000, "validation": 900, "test": 900}
JOINED = frozenset(
    frozenset(pair[:2]) for pairs in BRICS.reactionDefs for pair in pairs if pair[2] == "-"
)
"""Which kinds of cuts go together by a single bond."""


@lru_cache(maxsize=1)
def recombined() -> tuple[Molecule, ...]:
    """All of them, named by their SMILES."""
    whole = {drug.smiles for drug in drugs()}

    def drawn(split: str) -> Iterator[str]:
        pieces = brics_pieces(split)
        for draw in range(DRAWS[split]):
            smiles = put_together(pieces, np.random.default_rng([SPLITS.index(split), draw]))
            if smiles and smiles not in whole and split_of(smiles) == split:
                yield smiles

    return closed_shells(smiles for split in SPLITS for smiles in drawn(split))


def brics_pieces(split: str) -> list[Chem.Mol]:
    """The drugs' BRICS fragments of one split, their cuts marked; in the order of their SMILES."""
    found: set[str] = set()
    for drug in drugs():
        if split_of(drug.smiles or "") == split:
            found |= set(BRICS.BRICSDecompose(Chem.MolFromSmiles(drug.smiles)))
    mols = [Chem.MolFromSmiles(piece) for piece in sorted(found)]
    return [mol for mol in mols if cuts(mol) and mol.GetNumHeavyAtoms() - len(cuts(mol)) in PIECES]


def put_together(pieces: list[Chem.Mol], rng: np.random.Generator) -> str:
    """Canonical SMILES of two to four pieces that go together, what is left capped by hydrogen.

    Empty when that is no molecule of the right size.
    """
    mol = pieces[rng.integers(len(pieces))]
    for _ in range(int(rng.integers(1, 4))):
        for _ in range(20):  # most pairs do not go together
            other = pieces[rng.integers(len(pieces))]
            larger = joined(mol, other, rng)
            if larger is not None:
                mol = larger
                break
    return of_size(capped(Chem.MolToSmiles(mol)), HEAVY_ATOMS)


def joined(a: Chem.Mol, b: Chem.Mol, rng: np.random.Generator) -> Chem.Mol | None:
    """Two molecules bound at a cut of each, chosen among those that go together; None without."""
    pairs = [
        (i, j + a.GetNumAtoms())
        for i, kind in cuts(a).items()
        for j, other in cuts(b).items()
        if frozenset((kind, other)) in JOINED
    ]
    if not pairs:
        return None
    ends = pairs[rng.integers(len(pairs))]
    both = Chem.RWMol(Chem.CombineMols(a, b))
    i, j = (both.GetAtomWithIdx(k).GetNeighbors()[0].GetIdx() for k in ends)
    both.AddBond(i, j, Chem.BondType.SINGLE)
    for k in sorted(ends, reverse=True):
        both.RemoveAtom(k)
    return both.GetMol()


def cuts(mol: Chem.Mol) -> dict[int, str]:
    """Dummy atoms and the kinds of their cuts, as BRICS numbers them, of single bonds."""
    return {
        atom.GetIdx(): str(atom.GetIsotope())
        for atom in mol.GetAtoms()
        if atom.GetAtomicNum() == 0
        and atom.GetDegree() == 1
        and atom.GetBonds()[0].GetBondType() == Chem.BondType.SINGLE
    }
