"""Students in OpenMM: as a force (``create_force``), mixed with a force field (``mixed``), and,
through OpenMM-ML, by name; molecules in water and ligands in proteins (``solvate`` and others)."""

from distill_openmm.bonds import add_bonds, zero_bonds
from distill_openmm.complexes import complex_in_water
from distill_openmm.force import create_force
from distill_openmm.gaff import gaff_xml
from distill_openmm.mixed import mixed, with_link_atoms
from distill_openmm.prepared import Prepared
from distill_openmm.ready_made import from_amber, from_force_field, from_system
from distill_openmm.solvate import solvate

__all__ = [
    "Prepared",
    "add_bonds",
    "complex_in_water",
    "create_force",
    "from_amber",
    "from_force_field",
    "from_system",
    "gaff_xml",
    "mixed",
    "solvate",
    "with_link_atoms",
    "zero_bonds",
]
