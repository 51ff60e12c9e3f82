"""Students in OpenMM: as a force (``create_force``), mixed with a force field (``mixed``), and,
through OpenMM-ML, by name."""

from distill_openmm.bonds import add_bonds, zero_bonds
from distill_openmm.force import create_force
from distill_openmm.mixed import mixed, with_link_atoms

__all__ = ["add_bonds", "create_force", "mixed", "with_link_atoms", "zero_bonds"]
