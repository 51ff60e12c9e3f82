"""Students in LAMMPS: ``pair_style mliap unified``.

``python -m distill_lammps`` builds LAMMPS; ``start`` runs it inside Python.
"""

from distill_lammps.python import start

__all__ = ["start"]
