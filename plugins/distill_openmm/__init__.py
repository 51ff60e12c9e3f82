"""Students in OpenMM: as a TorchForce (``create_force``) and, through OpenMM-ML, by name."""

from distill_openmm.bonds import add_bonds, zero_bonds
from distill_openmm.force import create_force

__all__ = ["add_bonds", "create_force", "zero_bonds"]
