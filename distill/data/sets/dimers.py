"""Pairs of small molecules, for what lies between molecules: hydrogen bonds, stacks, ion pairs.

Each pair comes with geometries: random orientations, brought together until the nearest two atoms
are 0.8 to 1.3 times the sum of their van der Waals radii apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce
from itertools import combinations_with_replacement

import numpy as np
from ase.data import vdw_radii
from rdkit import Chem
from scipy.spatial.transform import Rotation

from distill.data.molecules import Molecule, from_rdkit, from_smiles
from distill.data.sampling import starts_of
from distill.data.sets.split import hash_of
from distill.distances import contact_distance

MONOMERS = {
    "water": "O", "methanol": "CO", "ammonia": "N", "methylamine": "CN", "methane": "C",
    "ethene": "C=C", "ethyne": "C#C", "benzene": "c1ccccc1", "pyridine": "c1ccncc1",
    "pyrrole": "c1cc[nH]c1", "imidazole": "c1cnc[nH]1", "furan": "c1ccoc1",
    "thiophene": "c1ccsc1", "phenol": "Oc1ccccc1", "aniline": "Nc1ccccc1",
    "formaldehyde": "C=O", "acetone": "CC(C)=O", "acetic acid": "CC(=O)O",
    "acetamide": "CC(N)=O", "N-methylacetamide": "CNC(C)=O", "urea": "NC(N)=O",
    "methyl acetate": "COC(C)=O", "dimethyl ether": "COC", "acetonitrile": "CC#N",
    "nitromethane": "C[N+](=O)[O-]", "methanethiol": "CS", "dimethyl sulfide": "CSC",
    "dimethyl sulfoxide": "CS(C)=O", "methanesulfonamide": "CS(N)(=O)=O",
    "fluoromethane": "CF", "chloromethane": "CCl", "bromomethane": "CBr", "iodomethane": "CI",
    "trimethylphosphine oxide": "CP(C)(C)=O", "acetate": "CC(=O)[O-]",
    "methylammonium": "C[NH3+]", "guanidinium": "NC(N)=[NH2+]", "imidazolium": "c1c[nH+]c[nH]1",
    "dimethyl phosphate": "COP(=O)([O-])OC",
}  # fmt: skip
GEOMETRIES = 4
CONTACT = (0.8, 1.3)


@lru_cache(maxsize=1)
def dimers() -> tuple[Molecule, ...]:
    """All pairs but those of two like charges, which fly apart."""
    monomers = {name: embedded(name, smiles) for name, smiles in MONOMERS.items()}
    found = []
    for (first, a), (second, b) in combinations_with_replacement(monomers.items(), 2):
        if Chem.GetFormalCharge(a) * Chem.GetFormalCharge(b) <= 0:
            found.append(_pair(f"{first} + {second}", a, b))
    return tuple(found)


def embedded(name: str, smiles: str) -> Chem.Mol:
    """A monomer with a conformer."""
    return starts_of(from_smiles(smiles, name), 1, seed=1)[0]


def _pair(name: str, a: Chem.Mol, b: Chem.Mol) -> Molecule:
    rng = np.random.default_rng(hash_of(name))
    touch = touching(a, b)
    geometries = []
    for _ in range(GEOMETRIES):
        x, y = (turned_about(mol, rng) for mol in (a, b))
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        away = contact_distance(x, y, direction, rng.uniform(*CONTACT) * touch)
        geometries.append(np.concatenate([x, y + away * direction]))
    return together(name, (a, b), geometries)


def touching(a: Chem.Mol, b: Chem.Mol) -> np.ndarray:
    """(N, M) sums of the van der Waals radii of their atoms, in Å."""
    radii = [vdw_radii[[atom.GetAtomicNum() for atom in mol.GetAtoms()]] for mol in (a, b)]
    return np.asarray(radii[0][:, None] + radii[1][None, :])


def together(name: str, mols: Sequence[Chem.Mol], geometries: Sequence[np.ndarray]) -> Molecule:
    """Several molecules as one, with geometries (N, 3) in Å of all."""
    whole = reduce(Chem.CombineMols, mols)
    Chem.SanitizeMol(whole)  # rings are to be found anew
    return from_rdkit(whole, name, geometries)


def turned_about(mol: Chem.Mol, rng: np.random.Generator) -> np.ndarray:
    """Its positions (N, 3) in Å, centred, in a random orientation."""
    positions = mol.GetConformer().GetPositions()
    turn = Rotation.random(rng=rng)
    return np.asarray(turn.apply(positions - positions.mean(0)))
