"""Harmonic frequencies, at the calculator's own minimum."""

from typing import Any

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import Calculator
from ase.data import atomic_masses
from ase.optimize import BFGS
from ase.units import _amu, _c, _e

MOLECULES = (
    "H2O", "NH3", "CH4", "CO2", "HCN", "C2H2", "C2H4", "H2CO", "CH3OH", "HCOOH", "CH3Cl", "H2CF2",
    "SH2", "C6H6",
)  # fmt: skip
"""Fourteen, by their names in ASE's G2 set."""
LINEAR = ("CO2", "HCN", "C2H2")
FMAX = 1e-3
"""eV/Å, of a minimum."""
STEPS = 300


def frequencies(atoms: Atoms, step: float = 0.005) -> np.ndarray:
    """(3N,) harmonic frequencies in cm-1, sorted; imaginary ones negative.

    By central differences of the forces of ``atoms.calc``; step in Å.
    """
    return _wavenumbers(hessian(atoms, step))


def internal_frequencies(atoms: Atoms, linear: bool = False) -> np.ndarray:
    """(3N - 6,) of them, 3N - 5 for a linear molecule: translations and rotations are projected
    out, so that they are not taken for modes of low or imaginary frequency."""
    root = np.sqrt(atomic_masses[atoms.numbers])[:, None]
    arm = atoms.positions - atoms.get_center_of_mass()
    stiff = [root * axis for axis in np.eye(3)] + [root * np.cross(axis, arm) for axis in np.eye(3)]
    axes, _, _ = np.linalg.svd(np.array(stiff).reshape(6, -1).T)
    within = axes[:, 5 if linear else 6 :]
    return _wavenumbers(within.T @ hessian(atoms) @ within)


def hessian(atoms: Atoms, step: float = 0.005) -> np.ndarray:
    """(3N, 3N), divided by the roots of the masses; in eV/Å^2/u."""
    x, n = atoms.positions.copy(), len(atoms)
    rows = np.zeros((3 * n, 3 * n))
    for k in range(3 * n):
        moved = atoms.copy()
        moved.calc = atoms.calc
        forces = []
        for sign in (1, -1):
            shift = np.zeros(3 * n)
            shift[k] = sign * step
            moved.positions = x + shift.reshape(n, 3)
            forces.append(moved.get_forces().ravel())
        rows[k] = -(forces[0] - forces[1]) / (2 * step)
    root = np.repeat(np.sqrt(atomic_masses[atoms.numbers]), 3)
    return 0.5 * (rows + rows.T) / np.outer(root, root)


def _wavenumbers(hessian: np.ndarray) -> np.ndarray:
    squares = np.linalg.eigvalsh(hessian)
    to_wavenumbers = np.sqrt(_e / _amu) * 1e10 / (2 * np.pi * _c * 100)
    return np.sign(squares) * np.sqrt(np.abs(squares)) * to_wavenumbers


def vibrations(calculator: Calculator) -> dict[str, list[float] | None]:
    """The frequencies (cm-1) of each molecule; None where the calculator has no answer, or finds
    no minimum in 300 steps."""
    found: dict[str, list[float] | None] = {}
    for name in MOLECULES:
        atoms = molecule(name)
        atoms.calc = calculator
        try:
            relaxed = BFGS(atoms, logfile=None).run(fmax=FMAX, steps=STEPS)
            modes = internal_frequencies(atoms, name in LINEAR) if relaxed else None
            found[name] = None if modes is None else modes.tolist()
        except Exception:  # unknown elements and the like: calculators raise what they like
            found[name] = None
    return found


def compare(student: dict[str, Any], teacher: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Of each molecule that both can do, sorted modes in turn: ``mae``, ``worst`` (cm-1), and how
    many of the student's are imaginary."""
    found = {}
    for name in student.keys() & teacher.keys():
        if student[name] and teacher[name]:
            off = abs(np.array(student[name]) - np.array(teacher[name]))
            found[name] = {
                "mae": float(off.mean()),
                "worst": float(off.max()),
                "imaginary": int((np.array(student[name]) < 0).sum()),
            }
    return {name: found[name] for name in student if name in found}
