"""Students in OpenMM: as a TorchForce (``create_force``) and, through OpenMM-ML, by name."""

from distill_openmm.force import create_force

__all__ = ["create_force"]
