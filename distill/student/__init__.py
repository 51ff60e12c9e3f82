"""The student: PaiNN, its sizes, its neighbour lists and its file format."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distill.student.config import SIZES, StudentConfig
    from distill.student.file import load_student, save_student
    from distill.student.student import Student

__all__ = ["SIZES", "Student", "StudentConfig", "load_student", "save_student"]

_HOMES = {
    "SIZES": "config", "StudentConfig": "config", "Student": "student", "load_student": "file",
    "save_student": "file",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    # neighbour lists need no torch, and OnnxCalculator runs without it
    if name not in _HOMES:
        raise AttributeError(f"module 'distill.student' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"distill.student.{_HOMES[name]}"), name)
