"""Hydrogen mass repartitioning: heavier hydrogens, for longer steps."""

import math
from typing import Any

import openmm
import openmm.app

from distill.engine_arguments import is_number
from distill.errors import DistillError


def repartition(topology: openmm.app.Topology, system: openmm.System, mass: Any) -> None:
    """Gives hydrogens a mass (in Da, or with a unit), which the atoms bonded to them lose."""
    dalton = openmm.unit.dalton
    given = mass
    if openmm.unit.is_quantity(mass) and mass.unit.is_compatible(dalton):
        mass = mass.value_in_unit(dalton)
    if not is_number(mass) or not math.isfinite(mass):
        raise DistillError(f"hydrogenMass is {given}; give a mass in Da, 1.5 to 4.")
    mass = float(mass)
    done = 0
    for bond in topology.bonds():
        for hydrogen, other in ((bond.atom1, bond.atom2), (bond.atom2, bond.atom1)):
            if is_hydrogen(hydrogen) and not is_hydrogen(other) and other.element is not None:
                gained = mass - system.getParticleMass(hydrogen.index).value_in_unit(dalton)
                left = system.getParticleMass(other.index).value_in_unit(dalton) - gained
                if mass <= 0 or left <= 0:
                    raise DistillError(
                        f"hydrogenMass is {mass:g}, which leaves {left:g} Da for atom "
                        f"{other.index} ({other.name}); give 1.5 to 4."
                    )
                system.setParticleMass(hydrogen.index, mass)
                system.setParticleMass(other.index, left)
                done += 1
    if not done and any(is_hydrogen(atom) for atom in topology.atoms()):
        raise DistillError(
            "hydrogenMass needs to know what each hydrogen is bonded to, but the topology has no "
            "such bond; call distill_openmm.add_bonds(topology, positions) before."
        )


def is_hydrogen(atom: Any) -> bool:
    """Deuterium is one."""
    return atom.element is not None and atom.element.atomic_number == 1
