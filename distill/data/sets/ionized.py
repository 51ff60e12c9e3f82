"""The drugs' fragments as ions: amines and ring nitrogens protonated or methylated, acids without
their proton, and with a phosphoric, phosphonic or sulfonic acid group put on.

Most drugs are ions in water, where their list has them neutral. An ion belongs to the split of its
own scaffold, and comes from a fragment of that split.
"""

from __future__ import annotations

from functools import lru_cache

from rdkit import Chem
from rdkit.Chem import rdChemReactions

from distill.data.molecules import Molecule, closed_shells
from distill.data.sets.fragments import fragments, of_size
from distill.data.sets.split import hash_of, split_of

AMINE = "[NX3;+0;!$(N-[!#6;!#1]);!$(N-[#6]=,:*):1]"
IMINE = "[#6:2]([NX3:3])=[NX2;+0:1]"
RING_NITROGEN = "[n;X2;+0:1]"
CHANGES = (
    f"{AMINE}>>[N+:1]",
    f"{AMINE}>>[N+:1]C",
    f"{IMINE}>>[*:2]([*:3])=[N+:1]",
    f"{RING_NITROGEN}>>[n+:1]",
    f"{RING_NITROGEN}>>[n+:1]C",
    "[C,S,P:2](=[O:3])[OX2H:1]>>[*:2](=[O:3])[O-:1]",
    "[OX2H;$(O[#6;!$(C=O)]):1]>>[O:1]P(=O)(O)O",
    "[OX2H;$(O[#6;!$(C=O)]):1]>>[O:1]P(=O)(O)[O-]",
    "[CX4H3:1]>>[C:1]P(=O)(O)O",
    "[cH:1]>>[c:1]P(=O)(O)O",
    "[cH:1]>>[c:1]S(=O)(=O)[O-]",
)
"""Reaction SMARTS."""
EACH = 2
"""Ions of a fragment, at most."""


@lru_cache(maxsize=1)
def ionized() -> tuple[Molecule, ...]:
    """All of them, named by their SMILES."""
    known = {fragment.smiles for fragment in fragments()}

    def ions_of(fragment: str) -> list[str]:
        home = split_of(fragment)
        found = [s for s in changed(fragment) if s not in known and split_of(s) == home]
        return sorted(found, key=hash_of)[:EACH]

    return closed_shells(s for fragment in fragments() for s in ions_of(fragment.smiles or ""))


def changed(smiles: str) -> list[str]:
    """Canonical SMILES of what each of CHANGES makes of a neutral molecule, at one place of it."""
    mol = Chem.MolFromSmiles(smiles)
    if Chem.GetFormalCharge(mol) != 0:
        return []
    found = set()
    for change in CHANGES:
        products = rdChemReactions.ReactionFromSmarts(change).RunReactants((mol,))
        made = {of_size(Chem.MolToSmiles(product)) for (product,) in products} - {""}
        found |= set(sorted(made, key=hash_of)[:1])
    return sorted(found)
