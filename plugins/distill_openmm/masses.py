"""Heavy hydrogens, for longer steps."""

import math
from collections.abc import Collection
from typing import Any

import openmm

from distill.engine_arguments import is_number
from distill.errors import DistillError


def repartition(
    topology: openmm.app.Topology,
    system: openmm.System,
    mass: Any,
    name: str,
    leave: Collection[int] = (),
) -> None:
    """Gives hydrogens a mass (in Da, or with a unit), which the atoms bonded to them lose.

    name: of the argument, for sentences. leave: atoms that keep theirs. So do particles without a
    mass, which do not move.
    """
    dalton = openmm.unit.dalton
    given = mass
    if openmm.unit.is_quantity(mass) and mass.unit.is_compatible(dalton):
        mass = mass.value_in_unit(dalton)
    if not is_number(mass) or not math.isfinite(mass):
        raise DistillError(f"{name} is {given}; give a mass in Da, 1.5 to 4.")
    mass = float(mass)
    bonded = False
    for bond in topology.bonds():
        for hydrogen, other in ((bond.atom1, bond.atom2), (bond.atom2, bond.atom1)):
            if not is_hydrogen(hydrogen) or is_hydrogen(other) or other.element is None:
                continue
            bonded = True
            before = system.getParticleMass(hydrogen.index).value_in_unit(dalton)
            heavy = system.getParticleMass(other.index).value_in_unit(dalton)
            if hydrogen.index in leave or other.index in leave or not before or not heavy:
                continue
            left = heavy - (mass - before)
            if mass <= 0 or left <= 0:
                raise DistillError(
                    f"{name} is {mass:g}, which leaves {left:g} Da for atom "
                    f"{other.index} ({other.name}); give 1.5 to 4."
                )
            system.setParticleMass(hydrogen.index, mass)
            system.setParticleMass(other.index, left)
    if not bonded and any(is_hydrogen(atom) for atom in topology.atoms()):
        raise DistillError(
            f"{name} needs to know what each hydrogen is bonded to, but the topology has no "
            "such bond; call distill_openmm.add_bonds(topology, positions) before."
        )


def is_hydrogen(atom: Any) -> bool:
    """Deuterium is one."""
    return atom.element is not None and atom.element.atomic_number == 1
