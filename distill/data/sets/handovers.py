"""Pairs of small molecules with a proton on its way from one to the other.

MD of a small student is lost where a proton changes hands: what keeps an acid's proton at home is
the barrier to the nearest N, O or S, which MD never shows when all is well. In a molecule such
contacts are rare, so here two molecules are put face to face: donor, proton and acceptor in a line,
2.3 to 3 Å from end to end, the proton anywhere between.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from rdkit import Chem
from scipy.spatial.transform import Rotation

from distill.data.distort import HETERO
from distill.data.molecules import Molecule
from distill.data.sets.dimers import MONOMERS, embedded, together
from distill.data.sets.split import hash_of

MORE = {
    "formic acid": "C(=O)O", "benzoic acid": "O=C(O)c1ccccc1", "glycine": "NCC(=O)O",
    "methanesulfonic acid": "CS(=O)(=O)O", "methylphosphonic acid": "CP(=O)(O)O",
    "acetaldoxime": "CC=NO", "acetohydroxamic acid": "CC(=O)NO", "tetrazole": "c1nnn[nH]1",
    "succinimide": "O=C1CCC(=O)N1", "thioacetamide": "CC(N)=S", "acetylacetone": "CC(=O)C=C(C)O",
    "trimethylammonium": "C[NH+](C)C", "pyridinium": "c1cc[nH+]cc1", "thiophenol": "Sc1ccccc1",
    "methyl carbamate": "COC(N)=O", "azetidinone": "O=C1CCN1", "oxazoline": "C1=NCCO1",
    "trimethylamine": "CN(C)C", "dimethyl sulfone": "CS(C)(=O)=O", "acetamidine": "CC(N)=N",
}  # fmt: skip
"""Beside the dimers' monomers."""
GEOMETRIES = 8
LENGTH = (2.3, 3.0)
"""Å, from donor to acceptor."""
NEAREST = 0.85
"""Å: the proton is at least as far from both."""
APART = 1.5
"""Å between all other atoms of the two."""


@lru_cache(maxsize=1)
def handovers() -> tuple[Molecule, ...]:
    """All pairs of a donor and an acceptor but those of two like charges."""
    monomers = {
        name: embedded(name, smiles)
        for name, smiles in {**MONOMERS, **MORE}.items()
        if Chem.MolFromSmiles(smiles).HasSubstructMatch(Chem.MolFromSmarts("[#7,#8,#16]"))
    }
    found = []
    for first, a in monomers.items():
        for second, b in monomers.items():
            if Chem.GetFormalCharge(a) * Chem.GetFormalCharge(b) > 0:
                continue
            if not donors(a) or not acceptors(b):
                continue
            name = f"{first} to {second}"
            rng = np.random.default_rng(hash_of(name))
            geometries = [x for _ in range(GEOMETRIES) for x in face_to_face(a, b, rng)]
            if geometries:
                found.append(together(name, (a, b), geometries))
    return tuple(found)


def donors(mol: Chem.Mol) -> list[tuple[int, int]]:
    """N, O and S with each of their hydrogens."""
    return [
        (atom.GetIdx(), other.GetIdx())
        for atom in mol.GetAtoms()
        if atom.GetAtomicNum() in HETERO
        for other in atom.GetNeighbors()
        if other.GetAtomicNum() == 1
    ]


def acceptors(mol: Chem.Mol) -> list[int]:
    """N, O and S with room for one more neighbour."""
    room = {7: 4, 8: 3, 16: 3}
    return [
        atom.GetIdx()
        for atom in mol.GetAtoms()
        if atom.GetDegree() < room.get(atom.GetAtomicNum(), 0) and atom.GetFormalCharge() <= 0
    ]


def face_to_face(a: Chem.Mol, b: Chem.Mol, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """One geometry (N, 3) in Å, or none where the two do not fit."""
    x, y = (mol.GetConformer().GetPositions() for mol in (a, b))
    giving, taking = donors(a), acceptors(b)
    for _ in range(20):
        donor, proton = giving[rng.integers(len(giving))]
        acceptor = taking[rng.integers(len(taking))]
        along = x[proton] - x[donor]
        along /= np.linalg.norm(along)
        length = rng.uniform(*LENGTH)
        facing = open_side(b, acceptor) + rng.normal(0.0, 0.4, 3)
        turn = Rotation.align_vectors(-along[None], facing[None])[0]
        spin = Rotation.from_rotvec(rng.uniform(0, 2 * np.pi) * along)
        moved = (spin * turn).apply(y - y[acceptor]) + x[donor] + length * along
        placed = x.copy()
        placed[proton] = x[donor] + rng.uniform(NEAREST, length - NEAREST) * along
        placed[proton] += rng.normal(0.0, 0.08, 3)
        between = np.linalg.norm(placed[:, None] - moved[None], axis=-1)
        between[proton, acceptor] = between[donor, acceptor] = np.inf
        if between.min() > APART:
            both = np.concatenate([placed, moved])
            yield both + rng.normal(0.0, rng.uniform(0.0, 0.05), both.shape)
            return


def open_side(mol: Chem.Mol, atom: int) -> np.ndarray:
    """A unit vector away from an atom's neighbours; any where they are around it."""
    positions = mol.GetConformer().GetPositions()
    others = [n.GetIdx() for n in mol.GetAtomWithIdx(atom).GetNeighbors()]
    away = positions[atom] - positions[others]
    side = (away / np.linalg.norm(away, axis=1, keepdims=True)).sum(0)
    length = float(np.linalg.norm(side))
    return side / length if length > 0.1 else np.array([0.0, 0.0, 1.0])
