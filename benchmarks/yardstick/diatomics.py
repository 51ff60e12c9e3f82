"""Curves of diatomic molecules: the minimum, the depth, and whether the walls have holes."""

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from yardstick.who import KCAL

LENGTHS = {
    "H2": 0.741, "N2": 1.098, "CO": 1.128, "HF": 0.917, "HCl": 1.275, "HBr": 1.414, "F2": 1.412,
    "Cl2": 1.988, "Br2": 2.281, "I2": 2.666, "ClF": 1.628, "ICl": 2.321, "CS": 1.535, "P2": 1.893,
}  # fmt: skip
"""Measured, at equilibrium, in Å (Huber and Herzberg, Constants of Diatomic Molecules, 1979)."""
GRID = np.concatenate([np.arange(0.5, 3.0, 0.02), np.arange(3.0, 6.05, 0.1)])
"""Å; at the last of them the atoms are apart."""
FAILURES = 3


def diatomics(calculator: Calculator) -> dict[str, dict[str, Any]]:
    """Of each molecule, what `describe` says of its curve; ``failed`` counts points without an
    energy. A curve without its last point has no ``depth``."""
    found = {}
    for name, length in LENGTHS.items():
        energies = curve(calculator, name)
        able = np.isfinite(energies)
        found[name] = describe(GRID[able], energies[able], length)
        found[name]["failed"] = int((~able).sum())
        if not able[-1]:
            found[name]["depth"] = None
    return found


def curve(calculator: Calculator, name: str) -> np.ndarray:
    """(len(GRID),) kcal/mol; NaN where the calculator has no answer.

    From the measured length outwards and inwards; three failures in a row end the way, for an SCF
    that does not converge takes long.
    """
    energies = np.full(len(GRID), np.nan)
    start = int(abs(GRID - LENGTHS[name]).argmin())
    for way in (range(start, len(GRID)), range(start - 1, -1, -1)):
        failures = 0
        for k in way:
            try:
                calculator.calculate(Atoms(name, [[0, 0, 0], [0, 0, GRID[k]]]), ["energy"])
                energies[k] = float(calculator.results["energy"]) / KCAL
                failures = 0
            except Exception:  # a calculator raises what it likes; the points are counted
                failures += 1
            if failures == FAILURES:
                break
    return energies


def describe(r: np.ndarray, energies: np.ndarray, length: float) -> dict[str, float | None]:
    """What is told by a curve of energies (kcal/mol) at ever larger distances r (Å).

    ``minimum``: Å, the one that lies downhill from ``length``, by a parabola through the three
    points around it; None where it leads out of the curve. ``depth``: from there to the last point,
    kcal/mol. ``hole``: kcal/mol, the most that the energy falls while the atoms approach each other
    from the minimum on, 0 for a wall that rises all the way. ``dip``: the same while they part.
    """
    if len(r) < 3:
        return {"minimum": None, "depth": None, "hole": None, "dip": None}
    k = int(abs(r - length).argmin())
    while 0 < k < len(r) - 1 and min(energies[k - 1], energies[k + 1]) < energies[k]:
        k += 1 if energies[k + 1] < energies[k - 1] else -1
    inside = 0 < k < len(r) - 1
    a, b, c = (
        np.polyfit(r[k - 1 : k + 2] - r[k], energies[k - 1 : k + 2], 2) if inside else (0, 0, 0)
    )
    return {
        "minimum": float(r[k] - b / (2 * a)) if a > 0 else None,
        "depth": float(energies[-1] - (c - b * b / (4 * a))) if a > 0 else None,
        "hole": _fall(energies[k::-1]),
        "dip": _fall(energies[k:]),
    }


def _fall(energies: np.ndarray) -> float:
    """By how much a sequence falls below the highest that came before."""
    return float((np.maximum.accumulate(energies) - energies).max())
