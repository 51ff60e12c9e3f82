"""The table of kinds of molecules: its arithmetic, with errors that are known."""

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from ase.build import molecule

from distill.evaluate.frames import LabelledFrame
from distill_ase import StudentCalculator


@pytest.fixture(scope="module")
def kinds(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("kinds")


def frame(name: str, error: float) -> LabelledFrame:
    """One whose label is so far from the student's forces, in every component."""
    atoms = molecule(name)
    forces = StudentCalculator("ultra-tiny").get_forces(atoms)
    return LabelledFrame(name, atoms.numbers, atoms.positions, 0.0, forces + error)


def test_errors_are_by_molecule(kinds: ModuleType) -> None:
    """Methane (5 atoms) wrong by 0.1 and 0.3, water (3 atoms) by 0.5, methanol (6 atoms) by 0.2."""
    errors = [("CH4", 0.1), ("H2O", 0.5), ("CH4", 0.3), ("CH3OH", 0.2)]
    found = kinds.judge("ultra-tiny", [frame(*error) for error in errors])
    squares = np.repeat([0.01, 0.25, 0.09, 0.04], [5, 3, 5, 6])
    assert found["rmse"] == pytest.approx(np.sqrt(squares.mean()), abs=1e-4)
    assert found["median"] == pytest.approx(np.sqrt(0.05), abs=1e-4)  # methane's
    assert (found["molecules"], found["wrong"]) == (3, 1)


def test_each_set_has_a_row(kinds: ModuleType) -> None:
    figures = {"molecules": 150, "rmse": 0.0581, "median": 0.0449, "wrong": 2}
    students = {"tiny": dict.fromkeys(kinds.KINDS, figures)}
    text = kinds.markdown(
        {"students": students, "date": "2026-11-26", "versions": {"torch": "2.12.1"}}
    )
    assert "| `rigid`: rigid fragments of molecules in crystals | 150 | 0.058 / 0.045 / 2 |" in text
    assert len(text.split("|---|")[1].splitlines()) == 1 + len(kinds.KINDS)
