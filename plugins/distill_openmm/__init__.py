"""Students in OpenMM: as a force (``create_force``), mixed with a force field (``mixed``), and,
through OpenMM-ML, by name; molecules in water and ligands in proteins (``solvate`` and others)."""

from contextlib import suppress

from distill_openmm.bonds import add_bonds, zero_bonds
from distill_openmm.complexes import complex_in_water
from distill_openmm.force import create_force
from distill_openmm.gaff import gaff_xml
from distill_openmm.mixed import mixed, with_link_atoms
from distill_openmm.prepared import Prepared
from distill_openmm.ready_made import from_amber, from_force_field, from_system
from distill_openmm.solvate import solvate

# At the end of its own import OpenMM-ML asks distill_openmm.openmmml_potential for what that makes
# of OpenMM-ML's classes: so it has to come first. Without it (or with a potential in it that cannot
# be imported) all but `mixed` works, which says so.
with suppress(Exception):
    import openmmml  # noqa: F401

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
