"""Students in LAMMPS: ``pair_style distill`` and ``pair_style mliap unified``.

``python -m distill_lammps`` builds LAMMPS; ``start`` runs it inside Python.
"""

__all__ = ["start"]


def __getattr__(name: str) -> object:
    # LAMMPS asks for the plugin whenever it starts, and need not wait for torch
    if name == "start":
        from distill_lammps.python import start

        return start
    raise AttributeError(f"module 'distill_lammps' has no attribute {name!r}")
