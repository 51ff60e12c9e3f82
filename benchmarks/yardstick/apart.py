"""What is far apart, and what comes apart: extensivity, locality, and forces through the cutoff."""

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import Calculator

PAIRS = (("CH3CONH2", "H2O"), ("C6H6", "HCl"), ("CH3SH", "CH3CN"))
FAR = 100.0
"""Å between the molecules of a pair for extensivity."""
AWAY = 30.0
"""Å between them for locality."""
START, END, STEP = 1.5, 12.0, 0.02
"""Å, of how far something is pulled."""
FINEST = 1e-6
"""Å: how far apart two geometries are when the rest of a force's change is called a jump."""
CANDIDATES = 4
Place = Callable[[float], Atoms]


def extensivity(calculator: Calculator) -> float:
    """eV: the largest difference between two molecules' energy, 100 Å apart, and the sum of
    theirs."""
    off = []
    for one, other in PAIRS:
        parts = molecule(one), shifted(molecule(other), FAR)
        together = _energy(calculator, parts[0] + parts[1])
        off.append(abs(together - sum(_energy(calculator, part) for part in parts)))
    return max(off)


def locality(calculator: Calculator) -> float:
    """eV/Å: the largest change of a molecule's forces when an atom moves 0.2 Å in another that is
    30 Å away."""
    off = []
    for one, other in PAIRS:
        before = molecule(one) + shifted(molecule(other), AWAY)
        after = before.copy()
        after.positions[-1, 0] += 0.2
        n = len(molecule(one))
        change = _forces(calculator, after)[:n] - _forces(calculator, before)[:n]
        off.append(float(abs(change).max()))
    return max(off)


def pulled() -> dict[str, Place]:
    """Each takes how far (Å) and gives the geometry."""
    ethane, methanol, water = molecule("C2H6"), molecule("CH3OH"), molecule("H2O")
    first = [0, *(k for k in range(2, 8) if ethane.get_distance(0, k) < 1.2)]
    bond = methanol.get_distance(1, 3)
    return {
        "C-C of ethane": lambda d: _moved(ethane, first, 0, 1, d - ethane.get_distance(0, 1)),
        "O-H of methanol": lambda d: _moved(methanol, [3], 3, 1, d - bond),
        "two waters": lambda d: water + shifted(water, d + 1.0),
    }


def smoothness(calculator: Calculator, place: Place) -> dict[str, float]:
    """The forces while something is pulled from 1.5 to 12 Å, in eV/Å.

    ``step``: the largest change of a component between geometries 0.02 Å apart. ``jump``: what is
    left of it between geometries 1e-6 Å apart, at the four places where the forces bend most;
    a force that is continuous leaves about 1e-6 of its slope.
    """
    distances = np.arange(START, END, STEP)
    forces = np.array([_forces(calculator, place(d)).ravel() for d in distances])
    steps = np.diff(forces, axis=0)
    bends = abs(np.diff(steps, axis=0)).max(1)
    jumps = []
    for k in np.argsort(-bends)[:CANDIDATES]:
        jumps.append(_jump(calculator, place, distances[k], distances[k + 2]))
    return {"step": float(abs(steps).max()), "jump": max(jumps)}


def _jump(calculator: Calculator, place: Place, low: float, high: float) -> float:
    """Halves the interval, each time keeping the half in which the forces change more."""
    left, right = _forces(calculator, place(low)), _forces(calculator, place(high))
    while high - low > FINEST:
        middle = 0.5 * (low + high)
        between = _forces(calculator, place(middle))
        if abs(between - left).max() > abs(right - between).max():
            high, right = middle, between
        else:
            low, left = middle, between
    return float(abs(right - left).max())


def shifted(atoms: Atoms, by: float) -> Atoms:
    """A copy, by so many Å along x."""
    atoms = atoms.copy()
    atoms.positions[:, 0] += by
    return atoms


def _moved(atoms: Atoms, part: list[int], end: int, fixed: int, by: float) -> Atoms:
    """A copy whose ``part`` is moved along the bond from ``fixed`` to ``end``."""
    atoms = atoms.copy()
    along = atoms.positions[end] - atoms.positions[fixed]
    atoms.positions[part] += by * along / np.linalg.norm(along)
    return atoms


def _energy(calculator: Calculator, atoms: Atoms) -> float:
    calculator.calculate(atoms, ["energy"])
    return float(calculator.results["energy"])


def _forces(calculator: Calculator, atoms: Atoms) -> np.ndarray:
    calculator.calculate(atoms, ["energy", "forces"])
    return np.array(calculator.results["forces"], float)


def apart(calculator: Calculator) -> dict[str, Any]:
    """All of it; None where the calculator has no answer."""
    found: dict[str, Any] = {
        "extensivity": _or_none(lambda: extensivity(calculator)),
        "locality": _or_none(lambda: locality(calculator)),
    }
    for name, place in pulled().items():
        found[name] = _or_none(lambda place=place: smoothness(calculator, place))
    return found


def _or_none(measure: Callable[[], Any]) -> Any:
    try:
        return measure()
    except (
        Exception
    ):  # unknown elements, SCF that does not converge: calculators raise what they like
        return None
