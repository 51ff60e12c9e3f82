"""Ions and zwitterions that are common in drugs and around them."""

from __future__ import annotations

from functools import lru_cache

from distill.data.molecules import Molecule, from_smiles

IONS = {
    "acetate": "CC(=O)[O-]",
    "benzoate": "[O-]C(=O)c1ccccc1",
    "salicylate": "[O-]C(=O)c1ccccc1O",
    "lactate": "C[C@H](O)C(=O)[O-]",
    "succinate": "OC(=O)CCC(=O)[O-]",
    "trifluoroacetate": "[O-]C(=O)C(F)(F)F",
    "phenolate": "[O-]c1ccccc1",
    "methanethiolate": "C[S-]",
    "thiophenolate": "[S-]c1ccccc1",
    "methanesulfonate": "CS(=O)(=O)[O-]",
    "tosylate": "Cc1ccc(cc1)S(=O)(=O)[O-]",
    "methyl sulfate": "COS(=O)(=O)[O-]",
    "dimethyl phosphate": "COP(=O)([O-])OC",
    "methyl phosphate": "COP(=O)(O)[O-]",
    "methylphosphonate": "CP(=O)(O)[O-]",
    "tetrazolate": "c1nn[n-]n1",
    "saccharinate": "O=C1[N-]S(=O)(=O)c2ccccc12",
    "methanesulfonanilide anion": "CS(=O)(=O)[N-]c1ccccc1",
    "acetohydroxamate": "CC(=O)N[O-]",
    "methylammonium": "C[NH3+]",
    "dimethylammonium": "C[NH2+]C",
    "trimethylammonium": "C[NH+](C)C",
    "tetramethylammonium": "C[N+](C)(C)C",
    "choline": "C[N+](C)(C)CCO",
    "pyrrolidinium": "C1CC[NH2+]C1",
    "piperidinium": "C1CC[NH2+]CC1",
    "N-methylpiperazinium": "C[NH+]1CCNCC1",
    "morpholinium": "C1COCC[NH2+]1",
    "benzylammonium": "[NH3+]Cc1ccccc1",
    "phenethylammonium": "[NH3+]CCc1ccccc1",
    "anilinium": "[NH3+]c1ccccc1",
    "pyridinium": "c1cc[nH+]cc1",
    "N-methylpyridinium": "C[n+]1ccccc1",
    "4-aminopyridinium": "Nc1cc[nH+]cc1",
    "imidazolium": "c1c[nH+]c[nH]1",
    "guanidinium": "NC(N)=[NH2+]",
    "acetamidinium": "CC(N)=[NH2+]",
    "benzamidinium": "NC(=[NH2+])c1ccccc1",
    "trimethylsulfonium": "C[S+](C)C",
    "tetramethylphosphonium": "C[P+](C)(C)C",
    "glycine zwitterion": "[NH3+]CC(=O)[O-]",
    "alanine zwitterion": "C[C@H]([NH3+])C(=O)[O-]",
    "proline zwitterion": "C1CC[NH2+][C@@H]1C(=O)[O-]",
    "lysine zwitterion": "[NH3+]CCCC[C@H](N)C(=O)[O-]",
    "phenylalanine zwitterion": "[NH3+][C@@H](Cc1ccccc1)C(=O)[O-]",
    "GABA zwitterion": "[NH3+]CCCC(=O)[O-]",
    "taurine zwitterion": "[NH3+]CCS(=O)(=O)[O-]",
    "betaine": "C[N+](C)(C)CC(=O)[O-]",
    "nicotinic acid zwitterion": "[O-]C(=O)c1ccc[nH+]c1",
}


@lru_cache(maxsize=1)
def ions() -> tuple[Molecule, ...]:
    """All of them."""
    return tuple(from_smiles(smiles, name) for name, smiles in IONS.items())
