"""Bonds from coordinates: which atoms are bound, from their distances; how often, from their
valences and the charge of the whole.

The second question is an integer programme with one small answer: each atom is in one of the
states of its element (a valence, a formal charge, unpaired electrons), the orders of an atom's
bonds add up to its valence, the charges to the molecule's charge. Of all such answers the one with
the lowest penalty is taken, as in Wang, Wang, Kollman, Case, J. Mol. Graph. Model. 25, 247 (2006);
where several are equal, the distances choose, by the radii of Pyykkö and Atsumi, Chem. Eur. J. 15,
12770 (2009). RDKit's `DetermineBondOrders` tries the combinations one by one, which does not end
for a handful of nitro or sulfate groups; this ends in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDetermineBonds
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from distill.data.molecules import quietly

SECONDS = 5.0
"""The most that one molecule may take; a drug takes some milliseconds."""


class State(NamedTuple):
    """What an atom can be: the sum of its bonds' orders, its charge, its unpaired electrons."""

    valence: int
    charge: int
    unpaired: int
    penalty: float


RADII = {
    1: (0.32, 0.32, 0.32), 6: (0.75, 0.67, 0.60), 7: (0.71, 0.60, 0.54), 8: (0.63, 0.57, 0.53),
    9: (0.64, 0.59, 0.53), 15: (1.11, 1.02, 0.94), 16: (1.03, 0.94, 0.95), 17: (0.99, 0.95, 0.93),
    35: (1.14, 1.09, 1.10), 53: (1.33, 1.29, 1.25),
}  # fmt: skip
"""Covalent radii in Å of a single, a double and a triple bond."""

NEUTRAL = {1: (1,), 6: (4,), 7: (3,), 8: (2,), 9: (1,), 15: (3, 5), 16: (2, 4, 6),
           17: (1, 3, 5, 7), 35: (1, 3, 5, 7), 53: (1, 3, 5, 7)}  # fmt: skip
CATION = {6: 2.5, 7: 1.0, 8: 2.5, 15: 1.0, 16: 1.5, 17: 3.0, 35: 3.0, 53: 2.0}
ANION = {6: 2.0, 7: 1.5, 8: 1.0, 9: 1.0, 15: 2.0, 16: 1.0, 17: 1.0, 35: 1.0, 53: 1.0}
"""The penalties of a charge: the higher, the less readily a chemist would draw it."""


SULFOXIDE = 2.6
"""The penalty of S=O: a little more than that of [S+][O-], which ChEMBL and RDKit write. That of
O=S=O is less, see `_solve`."""


@cache
def states(number: int) -> tuple[State, ...]:
    """The states of an element."""
    least = NEUTRAL[number][0]
    found = [State(v, 0, 0, 0.3 * k) for k, v in enumerate(NEUTRAL[number])]
    if number == 16:
        found[1] = State(4, 0, 0, SULFOXIDE)
    if number in CATION:
        up = -1 if number == 6 else 1
        found.append(State(least + up, 1, 0, CATION[number]))
        if number != 6:
            found.append(State(least, 1, 1, CATION[number] + 1.0))
    if number in ANION:
        found.append(State(least - 1, -1, 0, ANION[number]))
    if least > 1:
        found.append(State(least - 1, 0, 1, 1.0))
    if number == 7:
        found.append(State(1, -2, 0, 4.0))
    if number == 8:
        found.append(State(0, -2, 0, 3.0))
    if number == 15:
        found.append(State(6, -1, 0, 1.5))
    if number == 16:
        found.append(State(5, 1, 0, 2.0))
    return tuple(found)


def connected(numbers: np.ndarray, positions: np.ndarray, crowded: bool = False) -> Chem.RWMol:
    """The atoms (N,) at positions (N, 3) in Å, with a single bond wherever two are bound.

    ``crowded`` keeps all that are near each other, as in PF6-; else no atom has more neighbours
    than is usual for its element.
    """
    mol = Chem.RWMol()
    for number in numbers:
        mol.AddAtom(Chem.Atom(int(number)))
    conformer = Chem.Conformer(len(numbers))
    conformer.SetPositions(np.ascontiguousarray(positions, dtype=float))
    mol.AddConformer(conformer)
    rdDetermineBonds.DetermineConnectivity(mol, useVdw=crowded)
    return mol


def pairs_of(mol: Chem.Mol) -> frozenset[tuple[int, int]]:
    """The pairs of bound atoms."""
    ends = ((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds())
    return frozenset((min(pair), max(pair)) for pair in ends)


def with_orders(connected: Chem.RWMol, charge: int, spin: int) -> Chem.Mol | None:
    """The molecule with the orders of its bonds and its formal charges; None where none fit.

    ``connected`` is what the function of that name gives; ``charge`` in e, ``spin`` 2S+1.
    """
    if any(atom.GetAtomicNum() not in NEUTRAL for atom in connected.GetAtoms()):
        return None
    answer = _solve(connected, charge, spin - 1)
    if answer is None:
        return None
    orders, chosen = answer
    mol = Chem.RWMol(connected)
    for bond, order in zip(mol.GetBonds(), orders, strict=True):
        bond.SetBondType(Chem.BondType.values[order])
    for atom, state in zip(mol.GetAtoms(), chosen, strict=True):
        atom.SetFormalCharge(state.charge)
        atom.SetNumRadicalElectrons(state.unpaired)
        atom.SetNoImplicit(True)
    try:
        quietly(Chem.SanitizeMol, mol)
        stereo_from_space(mol)
    except (ValueError, RuntimeError):  # what valences allow, RDKit may not
        return None
    unpaired = sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
    if (Chem.GetFormalCharge(mol), unpaired) != (charge, spin - 1):
        return None
    return mol.GetMol()


def stereo_from_space(mol: Chem.Mol) -> None:
    """Marks stereocentres and double bonds as the coordinates have them; the octahedra of PF6 and
    its like have none that anybody would name."""
    quietly(Chem.AssignStereochemistryFrom3D, mol)
    usual = (Chem.ChiralType.CHI_TETRAHEDRAL_CW, Chem.ChiralType.CHI_TETRAHEDRAL_CCW)
    for atom in mol.GetAtoms():
        if atom.GetChiralTag() not in usual:
            atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)


def likely_charge(connected: Chem.RWMol) -> int | None:
    """The charge for which the orders have the lowest penalty, of a molecule in a singlet."""
    if any(atom.GetAtomicNum() not in NEUTRAL for atom in connected.GetAtoms()):
        return None
    answer = _solve(connected, None, 0)
    return None if answer is None else sum(state.charge for state in answer[1])


def _solve(
    mol: Chem.Mol, charge: int | None, unpaired: int
) -> tuple[list[int], list[State]] | None:
    """An order for each bond, a state for each atom."""
    positions = mol.GetConformer().GetPositions()
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    choices = [(k, state) for k, number in enumerate(numbers) for state in states(number)]
    bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()]
    orders = [(k, order) for k in range(len(bonds)) for order in (1, 2, 3)]
    size = len(choices) + len(orders)

    def rows() -> Iterator[tuple[int, int, float]]:
        """One state an atom, one order a bond, valences; the charge, the unpaired electrons."""
        for column, (atom, state) in enumerate(choices):
            yield atom, column, 1.0
            yield len(numbers) + len(bonds) + atom, column, -state.valence
            yield 2 * len(numbers) + len(bonds), column, state.charge
            yield 2 * len(numbers) + len(bonds) + 1, column, state.unpaired
        for column, (bond, order) in enumerate(orders, start=len(choices)):
            yield len(numbers) + bond, column, 1.0
            for atom in bonds[bond]:
                yield len(numbers) + len(bonds) + atom, column, order

    row, column, value = zip(*rows(), strict=True)
    height = 2 * len(numbers) + len(bonds) + 2
    target = np.zeros(height)
    target[: len(numbers) + len(bonds)] = 1.0
    target[-1] = unpaired
    low, high = target.copy(), target.copy()
    low[-2], high[-2] = (charge, charge) if charge is not None else (-np.inf, np.inf)
    strain = [_strain(numbers, positions, bonds[bond], order) for bond, order in orders]
    # of the two oxygens of a carboxylate the first has the double bond, on every machine
    first = [1e-3 * (order - 1) * bond / len(bonds) for bond, order in orders]
    degree = np.bincount(np.ravel(bonds).astype(int), minlength=len(numbers))
    penalties = [
        0.3 if state.penalty == SULFOXIDE and degree[atom] == 2 else state.penalty
        for atom, state in choices
    ]
    cost = np.array(penalties + list(np.add(strain, first)))
    found = milp(
        cost,
        integrality=np.ones(size),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(csr_array((value, (row, column)), (height, size)), low, high),
        options={"time_limit": SECONDS, "mip_rel_gap": 0.0},
    )
    if found.status != 0:  # nothing fits, or not in time
        return None
    taken = np.flatnonzero(found.x > 0.5)
    chosen = [choices[k][1] for k in taken if k < len(choices)]
    on_carbon = {s.charge for s, number in zip(chosen, numbers, strict=True) if number == 6}
    if {1, -1} <= on_carbon:  # a bond is missing
        return None
    return [orders[k - len(choices)][1] for k in taken if k >= len(choices)], chosen


def _strain(numbers: list[int], positions: np.ndarray, bond: tuple[int, int], order: int) -> float:
    """A small penalty for a length that is another order's."""
    length = sum(RADII[numbers[end]][order - 1] for end in bond)
    away = float(np.linalg.norm(positions[bond[0]] - positions[bond[1]])) - length
    return 0.2 * abs(away)
