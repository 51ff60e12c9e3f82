"""The elements that a student knows: those of drug-like molecules."""

from collections.abc import Collection
from typing import Any

from ase.data import chemical_symbols

from distill.errors import DistillError

ELEMENTS: tuple[int, ...] = (1, 6, 7, 8, 9, 15, 16, 17, 35, 53)
"""Atomic numbers of H C N O F P S Cl Br I."""


def symbols(numbers: object) -> str:
    """Symbols of the distinct atomic numbers given, in ascending order, e.g. ``"C H O"``."""
    return " ".join(sorted({_symbol(int(z)) for z in numbers}))  # type: ignore[attr-defined]


def _symbol(z: int) -> str:
    return chemical_symbols[z] if 0 <= z < len(chemical_symbols) else str(z)


def check_known(numbers: Any, known: Collection[int]) -> None:
    """Raises DistillError when ``numbers`` (any integer sequence) has one that is not known."""
    unknown = {int(z) for z in numbers} - set(known)
    if unknown:
        raise DistillError(
            f"The student does not know {symbols(unknown)}; it knows {symbols(known)}. Train one "
            "on data that has the element."
        )
