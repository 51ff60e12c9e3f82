"""One stereoisomer of a molecule whose SMILES leaves stereocentres or double bonds open.

Conformers of an open SMILES would be conformers of several molecules: RDKit draws the isomer anew
for each of them. So one is chosen where the molecule is read, the same every time: a double bond is
E, and of the centres the first combination that exists in space.
"""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from rdkit import Chem
from rdkit.Chem import rdDistGeom
from rdkit.Chem.EnumerateStereoisomers import EnumerateStereoisomers, StereoEnumerationOptions

MOST_TRIED = 32
"""Isomers tried for one that exists in space; of norbornane's bridgeheads every second does."""


def one_isomer(mol: Chem.Mol, avoid: Collection[str] = ()) -> Chem.Mol | None:
    """One stereoisomer of a Mol without hydrogens, atoms in its order; None where nothing is open.

    Isomers whose SMILES are in ``avoid`` are taken only if there is no other.
    """
    found = [
        element
        for element in Chem.FindPotentialStereo(mol)
        if element.specified == Chem.StereoSpecified.Unspecified
    ]
    centres = {e.centeredOn for e in found if e.type == Chem.StereoType.Atom_Tetrahedral}
    resonant = {k for k in centres if _resonant(mol.GetAtomWithIdx(k))}
    if len(found) == len(resonant):
        return None
    rings = mol.GetRingInfo()
    bridged = any(rings.NumAtomRings(k) > 1 for k in centres)
    options = StereoEnumerationOptions(onlyUnassigned=True, unique=True, maxIsomers=0)
    first = None
    for isomer in islice(EnumerateStereoisomers(mol, options=options), MOST_TRIED):
        for k in resonant:
            isomer.GetAtomWithIdx(k).SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
        first = first or isomer
        if Chem.MolToSmiles(isomer) not in avoid and (not bridged or _exists(isomer)):
            first = isomer
            break
    same = first is None or Chem.MolToSmiles(first) == Chem.MolToSmiles(mol)
    return None if same else first


def _resonant(atom: Chem.Atom) -> bool:
    """Whether =O and -[O-] at the atom are the same but for how they are drawn: a phosphate."""
    ends = [a for a in atom.GetNeighbors() if a.GetDegree() == 1 and a.GetTotalNumHs() == 0]
    kinds = {a.GetAtomicNum() for a in ends if a.GetFormalCharge() == -1}
    return any(a.GetAtomicNum() in kinds and a.GetFormalCharge() == 0 for a in ends)


def _exists(isomer: Chem.Mol) -> bool:
    """Whether RDKit can put it into space."""
    settings: Any = rdDistGeom.EmbedParameters()  # RDKit's type stubs forbid setting them
    settings.randomSeed = 1
    settings.maxIterations = 5
    settings.timeout = 10  # s; the iterations end it long before, on every machine alike
    with _ctrl_c_afterwards():
        return int(rdDistGeom.EmbedMolecule(Chem.AddHs(isomer), settings)) == 0


@contextmanager
def _ctrl_c_afterwards() -> Iterator[None]:
    """Keeps Ctrl-C for later: RDKit would take it for a failure, and nobody would hear of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
