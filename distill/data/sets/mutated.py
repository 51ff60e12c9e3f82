"""Fragments of drugs and small molecules with one to three changes: an atom for another, a bond
more or less, a group put on, a hydrogen elsewhere.

Most of what can be drawn was never made. It shows a student the kinds of atoms that the lists of
known molecules have once or not at all: imines, oximes, quinone methides, thiols, enols, N-oxides,
half-saturated rings of a purine. The model is the genetic algorithm of Jensen, Chem. Sci. 10, 3567
(2019), without selection. A mutant has the split of its own scaffold, and a parent of that split.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdChemReactions

from distill.data.molecules import Molecule, closed_shells
from distill.data.sets.fragments import HEAVY_ATOMS, fragments, of_size
from distill.data.sets.small import small
from distill.data.sets.split import hash_of, split_of

GROUPS = (
    "F", "Cl", "Br", "I", "O", "S", "N", "C", "C#N", "C=O", "C(=O)O", "C(=O)[O-]", "C(=O)N",
    "C=NO", "C=NN", "C(=N)N", "C(=[NH2+])N", "N(=O)=O", "N=O", "NO", "NN", "N=NC", "NC(=N)N",
    "[NH3+]", "[N+](C)(C)C", "OC", "O[N+](=O)[O-]", "SC", "S(C)=O", "S(C)(=O)=O", "S(=O)(=O)N",
    "S(=O)(=O)[O-]", "SSC", "P(=O)(O)O", "OP(=O)(O)O", "OP(=O)(O)[O-]", "P(C)(C)=O", "C(F)(F)F",
    "C=C", "C#C", "N=C=O", "N=C=S", "N=[N+]=[N-]", "C1CC1", "C1CO1", "N1C=CN=C1", "C(=O)Cl",
)  # fmt: skip
CHANGES = (
    "[CH1;R:1]=[*:2]>>[N:1]=[*:2]",
    "[NX2;R:1]=[*:2]>>[C:1]=[*:2]",
    "[NX2;R;+0:1]=[*:2]>>[NH+:1]=[*:2]",
    "[NX2;R;+0:1]=[*:2]>>[N+:1](C)=[*:2]",
    "[NX2;R;+0:1]=[*:2]>>[N+:1]([O-])=[*:2]",
    "[NX3;H0;+0;!$(N-[*]=[*]):1]>>[N+:1][O-]",
    "[NX3;+0;!$(N-[*]=[*]):1]>>[NH+:1]",
    "[CX4;H2:1]>>[O:1]",
    "[CX4;H2:1]>>[N:1]",
    "[CX4;H2:1]>>[S:1]",
    "[CX4;H2:1]>>[C:1]=O",
    "[CX4;H2:1]>>[C:1]=N",
    "[CX4;H2:1]>>[C:1]=C",
    "[OX2;H0:1]>>[S:1]",
    "[OX2;H0:1]>>[N:1]",
    "[SX2;H0:1]>>[O:1]",
    "[SX2;H0:1]>>[S:1]=O",
    "[SX2;H0:1]>>[S:1](=O)=O",
    "[#6:1]=[OX1:2]>>[#6:1]=[S:2]",
    "[#6:1]=[OX1:2]>>[#6:1]=[N:2]",
    "[#6:1]=[OX1:2]>>[#6:1]=[N:2]O",
    "[#6:1]=[OX1:2]>>[#6:1]=[N:2]C",
    "[#6:1]=[OX1:2]>>[#6:1]=[N:2]N",
    "[#6:1]=[OX1:2]>>[#6:1]=[C:2]",
    "[#6:1]=[OX1:2]>>[#6:1][O:2]",
    "[CX4;!H0:1][CX4;!H0:2]>>[C:1]=[C:2]",
    "[CX4;!H0:1][NX3;!H0;+0:2]>>[C:1]=[N:2]",
    "[C:1]=[C:2]>>[C:1][C:2]",
    "[C:1]=[NX2:2]>>[C:1][N:2]",
    "[CH1;!R:1]=[CH1;!R:2]>>[C:1]#[C:2]",
    # what loses two hydrogens, and becomes a quinone or its imine or methide
    "[O,N;!H0;+0:1][C:2]=[C:3][C:4]=[C:5][O,N;!H0;+0:6]>>[*:1]=[C:2][C:3]=[C:4][C:5]=[*:6]",
    "[O,N;!H0;+0:1][C:2]=[C:3][C:4]=[C:5][CX4;!H0:6]>>[*:1]=[C:2][C:3]=[C:4][C:5]=[*:6]",
    # a hydrogen elsewhere
    "[O,N,S;!H0;+0:1][C:2]=[C,NX2;+0:3]>>[*:1]=[C:2][*:3]",
    "[O,N,S;X1,X2;H0,H1;+0:1]=[C:2][CX4,NX3;!H0;+0:3]>>[*:1][C:2]=[*:3]",
    "[O,N,S;!H0;+0:1][C:2]=[C:3][C:4]=[C,NX2;+0:5]>>[*:1]=[C:2][C:3]=[C:4][*:5]",
    *(f"[C;!H0:1]>>[C:1]{group}" for group in GROUPS),
)
"""Reaction SMARTS, for the Kekulé form. What comes of one is read anew, so the hydrogens fit."""
EACH = 6
"""Draws for a parent."""


@lru_cache(maxsize=1)
def mutated() -> tuple[Molecule, ...]:
    """All of them, named by their SMILES. Raises DistillError when datamol is missing."""
    return mutants_of([m.smiles or "" for m in (*fragments(), *small())], EACH)


def mutants_of(
    parents: Sequence[str], each: int, heavy_atoms: range = HEAVY_ATOMS, key: str = ""
) -> tuple[Molecule, ...]:
    """Of each parent, what comes of so many draws, has its split, and is no parent.

    key: another gives other draws.
    """
    known = set(parents)

    def drawn() -> Iterator[str]:
        for parent in parents:
            home = split_of(parent)
            for draw in range(each):
                rng = np.random.default_rng([hash_of(key + parent), draw])
                smiles = mutant(parent, rng, heavy_atoms)
                if smiles not in known and split_of(smiles) == home:
                    yield smiles

    return closed_shells(drawn())


def mutant(smiles: str, rng: np.random.Generator, heavy_atoms: range = HEAVY_ATOMS) -> str:
    """Canonical SMILES after one to three of CHANGES; its own where none has a place.

    heavy_atoms: how many it may have then.
    """
    reactions = _reactions()
    for _ in range(int(rng.integers(1, 4))):
        mol = Chem.MolFromSmiles(smiles)
        Chem.Kekulize(mol, clearAromaticFlags=True)
        for _ in range(10):  # most changes have no place in a molecule
            products = reactions[rng.integers(len(reactions))].RunReactants((mol,), 50)
            if not products:
                continue
            (product,) = products[rng.integers(len(products))]
            made = of_size(Chem.MolToSmiles(product), heavy_atoms)
            if made:
                smiles = made
                break
    return smiles


@lru_cache(maxsize=1)
def _reactions() -> list[rdChemReactions.ChemicalReaction]:
    return [rdChemReactions.ReactionFromSmarts(change) for change in CHANGES]
