"""Students in ASE."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distill_ase.calculator import StudentCalculator
    from distill_ase.onnx import OnnxCalculator

__all__ = ["OnnxCalculator", "StudentCalculator"]


def __getattr__(name: str) -> Any:
    # OnnxCalculator runs where there is no torch
    if name == "StudentCalculator":
        from distill_ase.calculator import StudentCalculator

        return StudentCalculator
    if name == "OnnxCalculator":
        from distill_ase.onnx import OnnxCalculator

        return OnnxCalculator
    raise AttributeError(f"module 'distill_ase' has no attribute {name!r}")
