"""GFN2-xTB and GFN1-xTB through tblite, the teachers that come with the distiller.

Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15, 1652 (2019); Grimme, Bannwarth,
Shushkov, J. Chem. Theory Comput. 13, 1989 (2017).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree

from distill.charge import charge_of, spin_of
from distill.errors import DistillError, reason
from distill.teacher.base import Label

METHODS = {"gfn2-xtb": "GFN2-xTB", "gfn1-xtb": "GFN1-xTB"}
# our option: (tblite's setting, its type, the factor to tblite's unit)
SETTINGS: dict[str, tuple[str, type, float]] = {
    "accuracy": ("accuracy", float, 1.0),
    "max-iterations": ("max-iter", int, 1.0),
    "electronic-temperature": ("temperature", float, 3.166808578545117e-06),  # K to hartree
}
MOST_ITERATIONS = 100_000


class XTBTeacher:
    """A tight-binding teacher.

    ``options`` may hold ``accuracy`` (1.0), ``max-iterations`` (250) and
    ``electronic-temperature`` (300 K). Raises DistillError for another name or option and
    when tblite is not installed.
    """

    conservative = True

    def __init__(self, name: str = "gfn2-xtb", options: Mapping[str, str] | None = None) -> None:
        if name not in METHODS:
            raise DistillError(f"Unknown xTB method '{name}'; there are {', '.join(METHODS)}.")
        try:
            import tblite.interface
        except ImportError as error:
            raise DistillError(
                f"The teacher {name} needs tblite; `pip install 'mlff-distiller[xtb]'`."
            ) from error
        self._interface = tblite.interface
        self.name = name
        self.version = f"tblite {version('tblite')}"
        self._settings = [_setting(key, value) for key, value in (options or {}).items()]

    def label(self, geometries: Sequence[Atoms]) -> list[Label]:
        """Label geometries; neighbours in the list with the same atoms share a calculator."""
        labels = []
        calculator, of = None, None
        for atoms in geometries:
            try:
                charge, spin = charge_of(atoms) or 0, spin_of(atoms) or 1
                system = (atoms.numbers.tobytes(), charge, spin, atoms.pbc.tobytes())
                if calculator is None or system != of:
                    calculator, of = self._calculator(atoms, charge, spin), system
                else:
                    calculator.update(atoms.positions / Bohr, _lattice(atoms))
                labels.append(_read(calculator.singlepoint(), atoms))
            except Exception as error:  # tblite's own, and those of a charge that is no number
                labels.append(Label.failed(len(atoms), f"{self.name}: {reason(error)}"))
                calculator = None  # do not trust its state
        return labels

    def _calculator(self, atoms: Atoms, charge: int, spin: int) -> Any:
        calculator = self._interface.Calculator(
            METHODS[self.name],
            atoms.numbers,
            atoms.positions / Bohr,
            charge=float(charge),
            uhf=spin - 1,
            lattice=_lattice(atoms),
            periodic=atoms.pbc if atoms.pbc.any() else None,
        )
        calculator.set("verbosity", 0)
        for key, value in self._settings:
            calculator.set(key, value)
        return calculator


def _setting(key: str, value: str) -> tuple[str, Any]:
    if key not in SETTINGS:
        raise DistillError(f"xTB has no option '{key}'; there are {', '.join(SETTINGS)}.")
    name, kind, factor = SETTINGS[key]
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf or (kind is int and not 1 <= number <= MOST_ITERATIONS):
        raise DistillError(f"The xTB option {key} must be a number above 0, not '{value}'.")
    return name, kind(number * factor)


def _lattice(atoms: Atoms) -> np.ndarray | None:
    return np.array(atoms.cell) / Bohr if atoms.pbc.any() else None


def _read(result: Any, atoms: Atoms) -> Label:
    energy = float(result["energy"]) * Hartree
    forces = -np.asarray(result["gradient"]) * (Hartree / Bohr)
    stress = None
    if atoms.pbc.all():
        stress = np.asarray(result["virial"]) * Hartree / atoms.get_volume()
    return Label.checked(atoms, energy, forces, stress)
