"""Geometries that MD seldom visits: displaced atoms, stretched bonds, turned torsions, hydrogens on
their way from one atom to another."""

from __future__ import annotations

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers, rdMolTransforms

from distill.data.molecules import quietly

HETERO = (7, 8, 16)
"""Elements between which hydrogens hop."""
HOP = 2.8
"""Å: they hop no farther than from one such atom to another as near as this."""
HALFWAY = 1.25
"""Å: a hydrogen halfway between two atoms is at least as far from both."""
BOND = 2.9
"""Å: the longest hydrogen bond, from N, O or S to another, that a hydrogen is moved along."""
NEAREST = 0.9
"""Å: there it stays as far from both."""
ROTATABLE = Chem.MolFromSmarts("[!$([D1;!#1]);!$(*#*)]-&!@[!$([D1;!#1]);!$(*#*)]")
RELAXATION = 30
"""Steps of the force field after a torsion has been turned: neighbours give way, no more."""


def displaced(
    positions: np.ndarray, width: tuple[float, float], rng: np.random.Generator
) -> np.ndarray:
    """Gaussian noise on positions (N, 3) in Å, its standard deviation drawn from ``width``."""
    return positions + rng.normal(0.0, rng.uniform(*width), positions.shape)


def stretched(
    mol: Chem.Mol, positions: np.ndarray, factor: tuple[float, float], rng: np.random.Generator
) -> np.ndarray | None:
    """One bond, in no ring, ``factor`` (from, to) times as long; None where there is none."""
    bonds = [bond for bond in mol.GetBonds() if not bond.IsInRing()]
    if not bonds:
        return None
    bond = bonds[rng.integers(len(bonds))]
    ends = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
    moved = placed(mol, positions)
    conformer = moved.GetConformer()
    length = rdMolTransforms.GetBondLength(conformer, *ends)
    rdMolTransforms.SetBondLength(conformer, *ends, length * rng.uniform(*factor))
    return np.asarray(conformer.GetPositions())


def hopped(mol: Chem.Mol, positions: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """A hydrogen of an N, O or S on its way to another of them; None where none is near.

    It is 0.35 to 0.65 of the way: about the barrier that keeps the protons of acids and amides at
    their places. Where the two are so near that the straight way leads through a third atom, as in
    a carboxyl group, it goes around that.
    """
    hetero = [a.GetIdx() for a in mol.GetAtoms() if a.GetAtomicNum() in HETERO]
    hops = []
    for donor in hetero:
        hydrogens = [
            n.GetIdx() for n in mol.GetAtomWithIdx(donor).GetNeighbors() if n.GetAtomicNum() == 1
        ]
        for acceptor in hetero if hydrogens else []:
            if 0 < np.linalg.norm(positions[acceptor] - positions[donor]) < HOP:
                to_it = np.linalg.norm(positions[hydrogens] - positions[acceptor], axis=1)
                hops.append((donor, hydrogens[int(to_it.argmin())], acceptor))
    if not hops:
        return None
    donor, hydrogen, acceptor = hops[rng.integers(len(hops))]
    way = positions[acceptor] - positions[donor]
    half = 0.5 * float(np.linalg.norm(way))
    middle = positions[donor] + 0.5 * way
    others = np.delete(positions, [donor, hydrogen, acceptor], axis=0)
    away = middle - others[np.linalg.norm(others - middle, axis=1).argmin()]
    away -= way * (away @ way) / (way @ way)
    aside = max(0.0, HALFWAY**2 - half**2) ** 0.5 / max(float(np.linalg.norm(away)), 1e-6)
    moved = np.array(positions, dtype=float)
    moved[hydrogen] = positions[donor] + rng.uniform(0.35, 0.65) * way + aside * away
    return moved


def handed(
    mol: Chem.Mol, positions: np.ndarray, count: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """The hydrogen of a hydrogen bond at ``count`` places between N, O or S and another; none where
    there is no such bond, or only to the neighbour of a neighbour, as in a carboxyl group."""
    bonds = hydrogen_bonds(mol, positions)
    if not bonds:
        return []
    d, h, a, length = bonds[rng.integers(len(bonds))]
    way = (positions[a] - positions[d]) / length
    moved = np.repeat(np.array(positions, dtype=float)[None], count, axis=0)
    edges = np.linspace(NEAREST, length - NEAREST, count + 1)
    moved[:, h] = positions[d] + rng.uniform(edges[:-1], edges[1:])[:, None] * way
    return list(moved)


def hydrogen_bonds(mol: Chem.Mol, positions: np.ndarray) -> list[tuple[int, int, int, float]]:
    """Donor, hydrogen, acceptor, and how far donor and acceptor are apart (Å), of each.

    None to the neighbour of a neighbour, as in a carboxyl group.
    """
    far = Chem.GetDistanceMatrix(mol) > 2
    bonds = []
    for hydrogen in (a for a in mol.GetAtoms() if a.GetAtomicNum() == 1 and a.GetDegree() == 1):
        (donor,) = hydrogen.GetNeighbors()
        for acceptor in mol.GetAtoms():
            d, h, a = donor.GetIdx(), hydrogen.GetIdx(), acceptor.GetIdx()
            if donor.GetAtomicNum() in HETERO and acceptor.GetAtomicNum() in HETERO and far[d, a]:
                lengths = np.linalg.norm(positions[[d, h, h]] - positions[[a, d, a]], axis=1)
                if 2 * NEAREST < lengths[0] < BOND and lengths[1] < lengths[2] < lengths[0]:
                    bonds.append((d, h, a, lengths[0]))
    return bonds


def turned(mol: Chem.Mol, positions: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """One torsion at any angle, the rest relaxed a little by MMFF94; None where there is none."""
    torsions = torsions_of(mol)
    parameters = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol)
    if not torsions or parameters is None:
        return None
    torsion = torsions[rng.integers(len(torsions))]
    angle = float(rng.uniform(-180.0, 180.0))
    moved = placed(mol, positions)
    rdMolTransforms.SetDihedralDeg(moved.GetConformer(), *torsion, angle)
    field = rdForceFieldHelpers.MMFFGetMoleculeForceField(
        moved, parameters, ignoreInterfragInteractions=False
    )
    field.Initialize()
    field.MMFFAddTorsionConstraint(*torsion, False, angle - 1.0, angle + 1.0, 100.0)
    quietly(field.Minimize, maxIts=RELAXATION)
    return np.asarray(moved.GetConformer().GetPositions())


def torsions_of(mol: Chem.Mol) -> list[tuple[int, int, int, int]]:
    """One for each bond that can be turned about; hydrogens' rotors among them."""
    found = []
    for j, k in mol.GetSubstructMatches(ROTATABLE):
        first, last = _end(mol, j, k), _end(mol, k, j)
        if first is not None and last is not None:
            found.append((first, j, k, last))
    return found


def placed(mol: Chem.Mol, positions: np.ndarray) -> Chem.Mol:
    """A copy with these positions (N, 3) in Å as its one conformer."""
    copy = Chem.Mol(mol, True)
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(np.ascontiguousarray(positions, dtype=float))
    copy.AddConformer(conformer, assignId=True)
    return copy


def _end(mol: Chem.Mol, atom: int, other: int) -> int | None:
    """A neighbour of ``atom`` that is not ``other``."""
    found = [n.GetIdx() for n in mol.GetAtomWithIdx(atom).GetNeighbors() if n.GetIdx() != other]
    return found[0] if found else None
