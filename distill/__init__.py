"""MLFF Distiller: small PaiNN students of big interatomic potentials, ready for MD engines."""

from distill.errors import DistillError

__version__ = "0.1.0"
__all__ = ["DistillError", "__version__", "load_student"]


def __getattr__(name: str) -> object:
    # torch takes seconds to import; `distill --help` need not wait for it
    if name == "load_student":
        from distill.student.file import load_student

        return load_student
    raise AttributeError(f"module 'distill' has no attribute {name!r}")
