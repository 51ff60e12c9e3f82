"""Tripos' .mol2 files: atoms, which of them are bonded, partial charges.

Programs write other types of atoms and other orders of bonds into them (Sybyl's, GAFF's, Amber's),
so that an ion's or an aromatic ring's orders often fit no valence. Elements, pairs, coordinates and
the sum of the charges are what they agree on, and from these :mod:`distill.data.bonds` finds the
orders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from ase.data import atomic_numbers
from rdkit import Chem

SATURATED = ("C.3", "c3", "cx", "cy", "c5", "c6")
"""Types of carbons with four neighbours, Sybyl's and GAFF's."""
FLAT = (
    "C.2", "C.ar", "C.cat", "c", "ca", "cc", "cd", "ce", "cf", "c2", "cp", "cq", "cs", "cu", "cv",
)  # fmt: skip
"""Of those with three."""
NO_ELEMENT = ("any", "du", "hal", "het", "hev", "lp")
"""Types that stand for several elements, or for none."""


@dataclass
class Mol2:
    """One molecule of a file: atomic numbers, types and positions (Å) of N atoms, pairs that are
    bonded, charges in e (empty where there are none), the sum of formal charges where they are
    told."""

    title: str = ""
    numbers: list[int] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    positions: list[tuple[float, ...]] = field(default_factory=list)
    bonds: list[tuple[int, int]] = field(default_factory=list)
    charges: list[float] = field(default_factory=list)
    formal: int | None = None

    def connected(self) -> Chem.RWMol:
        """The atoms at their positions, with a single bond wherever two are bound."""
        mol = Chem.RWMol()
        for number in self.numbers:
            mol.AddAtom(Chem.Atom(number))
        for i, j in self.bonds:
            mol.AddBond(i, j, Chem.BondType.SINGLE)
        conformer = Chem.Conformer(len(self.numbers))
        conformer.SetPositions(np.array(self.positions, dtype=float))
        mol.AddConformer(conformer)
        return mol

    def bare(self) -> int | None:
        """A carbon with fewer neighbours than its type says, whose hydrogens are missing."""
        count = np.bincount(np.array(self.bonds, dtype=int).ravel(), minlength=len(self.numbers))
        for i, kind in enumerate(self.types):
            if count[i] < (4 if kind in SATURATED else 3 if kind in FLAT else 0):
                return i
        return None


def parse(text: str) -> Iterator[Mol2]:
    """The molecules of a file; ValueError, IndexError or KeyError for what is no .mol2."""
    for part in text.split("@<TRIPOS>MOLECULE")[1:]:
        head, *sections = part.split("@<TRIPOS>")
        told = head.splitlines()[1:]
        one = Mol2(title=told[0].strip().strip("*") if told else "")
        index: dict[str, int] = {}
        without = "NO_CHARGES" in head
        for section in sections:
            name, *lines = section.splitlines()
            for line in lines:
                words = line.split()
                if not words or line.startswith("#"):
                    continue
                if name.strip() == "ATOM":
                    index[words[0]] = len(index)
                    one.numbers.append(element(words[5]))
                    one.types.append(words[5])
                    one.positions.append(tuple(map(float, words[2:5])))
                    if len(words) > 8 and not without:
                        one.charges.append(float(words[8]))
                elif name.strip() == "BOND" and words[3] != "nc":  # nc: not connected
                    one.bonds.append((index[words[1]], index[words[2]]))
                elif name.strip() == "UNITY_ATOM_ATTR" and words[0] == "charge":
                    one.formal = (one.formal or 0) + int(words[1])
        if len(index) != len(one.numbers) or len(one.charges) not in (0, len(one.numbers)):
            raise ValueError("atoms of one number, or without a charge")
        yield one


def element(kind: str) -> int:
    """The atomic number of an atom type: C.ar, c3, Cl, cl, na (nitrogen), Na, hn, ..."""
    letters = re.match(r"[A-Za-z]+", kind)
    if letters is None or letters[0].lower() in NO_ELEMENT:
        raise ValueError(f"no atom type: {kind}")
    name = letters[0]
    for two in ("Cl", "Br"):
        if name.lower() == two.lower():
            return int(atomic_numbers[two])
    if name[0].isupper() and name[1:].islower() and name in atomic_numbers:
        return int(atomic_numbers[name])  # Sybyl's; GAFF's are in small letters, Amber's in large
    return int(atomic_numbers[name[0].upper()])
