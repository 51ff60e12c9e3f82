"""What is far apart, what comes apart, and what holds in the middle: is the potential sound?"""

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
DISTANCES = np.concatenate([np.arange(1.5, 6.0, 0.02), np.arange(6.0, 12.0, 0.05)])
"""Å, at which something is while it is pulled."""
WINDOW = 1.5
"""Å: in each such part of the way, the place where the forces bend most is looked at closely."""
CLOSE, CLOSEST = 1e-3, 1e-9
"""Å, between two geometries there."""
MOVES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Å, of an atom between equal neighbours."""
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


def stiffness(calculator: Calculator) -> dict[str, float]:
    """eV/Å^2: what holds methane's carbon in the middle, by moves of so many Å to either side.

    Where all neighbours cancel, a network's vectors vanish, and the length of a vector has a cusp
    there: the force constant then depends on the move, however small that is.
    """
    found = {}
    for move in MOVES:
        forces = []
        for sign in (1, -1):
            atoms = molecule("CH4")
            atoms.positions[0, 0] += sign * move
            forces.append(float(_forces(calculator, atoms)[0, 0]))
        found[f"{move:g}"] = (forces[1] - forces[0]) / (2 * move)
    return found


def pulled() -> dict[str, Place]:
    """Each takes how far (Å) and gives the geometry."""
    water = molecule("H2O")
    return {
        "C-C of ethane": lambda d: _parted(molecule("C2H6"), d),
        "N-N of hydrazine": lambda d: _parted(molecule("N2H4"), d),
        "two waters": lambda d: water + shifted(water, d + 1.0),
    }


def smoothness(calculator: Calculator, place: Place) -> dict[str, float | int]:
    """The forces while something is pulled from 1.5 to 12 Å, in eV/Å.

    ``close`` and ``closest``: the largest changes of a component that were found between geometries
    1e-3 and 1e-9 Å apart. Where a force has the slope k (eV/Å^2), the first is k/1000 (0.05 for a
    stiff bond); the second is nothing unless the force jumps. ``failed``: geometries without an
    answer; the way around them is left out.
    """
    forces = [_forces_or_nan(calculator, place(d)) for d in DISTANCES]
    slopes = np.diff(np.array(forces), axis=0) / np.diff(DISTANCES)[:, None]
    bends = abs(np.diff(slopes, axis=0)).max(1) * np.diff(DISTANCES)[1:]
    parts = ((DISTANCES[1:-1] - DISTANCES[0]) // WINDOW).astype(int)
    close, closest = [], []
    failed = sum(not np.isfinite(f).all() for f in forces)
    for part in range(parts[-1] + 1):
        inside = np.flatnonzero((parts == part) & np.isfinite(bends))
        if len(inside):
            k = inside[bends[inside].argmax()]
            try:
                found = _changes(calculator, place, DISTANCES[k], DISTANCES[k + 2])
            except Exception:  # as in the middle of what goes well at both ends
                failed += 1
                continue
            close.append(found[0])
            closest.append(found[1])
    return {"close": max(close), "closest": max(closest), "failed": failed}


def _changes(calculator: Calculator, place: Place, low: float, high: float) -> tuple[float, float]:
    """Of a force between geometries 1e-3 and 1e-9 Å apart, where it changes most: the interval is
    halved, each time keeping the half in which it changes more."""
    left, right = _forces(calculator, place(low)), _forces(calculator, place(high))
    close = 0.0
    while high - low > CLOSEST:
        middle = 0.5 * (low + high)
        between = _forces(calculator, place(middle))
        if abs(between - left).max() > abs(right - between).max():
            high, right = middle, between
        else:
            low, left = middle, between
        if not close and high - low <= CLOSE:
            close = float(abs(right - left).max()) * CLOSE / (high - low)
    return close, float(abs(right - left).max())


def _forces_or_nan(calculator: Calculator, atoms: Atoms) -> np.ndarray:
    try:
        return _forces(calculator, atoms).ravel()
    except Exception:  # calculators raise what they like; the geometries are counted
        return np.full(3 * len(atoms), np.nan)


def shifted(atoms: Atoms, by: float) -> Atoms:
    """A copy, by so many Å along x."""
    atoms = atoms.copy()
    atoms.positions[:, 0] += by
    return atoms


def _parted(atoms: Atoms, distance: float) -> Atoms:
    """A copy whose first atom, with the hydrogens on it, is so far (Å) from the second."""
    atoms = atoms.copy()
    along = atoms.positions[0] - atoms.positions[1]
    length = np.linalg.norm(along)
    part = [k for k in range(len(atoms)) if atoms.get_distance(0, k) < 1.25]
    atoms.positions[part] += (distance - length) * along / length
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
        "stiffness": _or_none(lambda: stiffness(calculator)),
    }
    for name, place in pulled().items():
        found[name] = _or_none(lambda place=place: smoothness(calculator, place))
    return found


def _or_none(measure: Callable[[], Any]) -> Any:
    try:
        return measure()
    except Exception:  # calculators raise what they like: unknown elements, no converged SCF
        return None
