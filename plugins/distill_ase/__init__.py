"""Students in ASE."""

from distill_ase.calculator import StudentCalculator

__all__ = ["StudentCalculator"]
