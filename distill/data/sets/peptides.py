"""Dipeptides between an acetyl and an N-methyl cap, as in SPICE (Sci. Data 10, 11 (2023)).

All pairs of the twenty amino acids, in the protonation states that are common in water.
"""

from __future__ import annotations

from functools import lru_cache

from distill.data.molecules import Molecule, from_smiles

RESIDUES = {
    "ALA": "N[C@@H](C)C(=O)",
    "ARG": "N[C@@H](CCCNC(=[NH2+])N)C(=O)",
    "ASN": "N[C@@H](CC(=O)N)C(=O)",
    "ASP": "N[C@@H](CC(=O)[O-])C(=O)",
    "ASH": "N[C@@H](CC(=O)O)C(=O)",
    "CYS": "N[C@@H](CS)C(=O)",
    "GLN": "N[C@@H](CCC(=O)N)C(=O)",
    "GLU": "N[C@@H](CCC(=O)[O-])C(=O)",
    "GLH": "N[C@@H](CCC(=O)O)C(=O)",
    "GLY": "NCC(=O)",
    "HID": "N[C@@H](Cc1c[nH]cn1)C(=O)",
    "HIE": "N[C@@H](Cc1cnc[nH]1)C(=O)",
    "HIP": "N[C@@H](Cc1c[nH]c[nH+]1)C(=O)",
    "ILE": "N[C@@H]([C@@H](C)CC)C(=O)",
    "LEU": "N[C@@H](CC(C)C)C(=O)",
    "LYS": "N[C@@H](CCCC[NH3+])C(=O)",
    "LYN": "N[C@@H](CCCCN)C(=O)",
    "MET": "N[C@@H](CCSC)C(=O)",
    "PHE": "N[C@@H](Cc1ccccc1)C(=O)",
    "PRO": "N1CCC[C@H]1C(=O)",
    "SER": "N[C@@H](CO)C(=O)",
    "THR": "N[C@@H]([C@@H](C)O)C(=O)",
    "TRP": "N[C@@H](Cc1c[nH]c2ccccc12)C(=O)",
    "TYR": "N[C@@H](Cc1ccc(O)cc1)C(=O)",
    "VAL": "N[C@@H](C(C)C)C(=O)",
}
"""In Amber's names: HID, HIE and HIP are histidine's tautomers and its cation."""


@lru_cache(maxsize=1)
def dipeptides() -> tuple[Molecule, ...]:
    """All of them, named like ALA-TYR."""
    return tuple(
        from_smiles(f"CC(=O){first}{second}NC", f"{a}-{b}")
        for a, first in RESIDUES.items()
        for b, second in RESIDUES.items()
    )
