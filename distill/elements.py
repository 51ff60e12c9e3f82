"""The elements that a student knows: those of drug-like molecules."""

from ase.data import chemical_symbols

ELEMENTS: tuple[int, ...] = (1, 6, 7, 8, 9, 15, 16, 17, 35, 53)
"""Atomic numbers of H C N O F P S Cl Br I."""


def symbols(numbers: object) -> str:
    """Symbols of the distinct atomic numbers given, in ascending order, e.g. ``"C H O"``."""
    return " ".join(sorted({chemical_symbols[int(z)] for z in numbers}))  # type: ignore[attr-defined]
