"""``mixed``: a student for some atoms, a force field for the rest, as one OpenMM System."""

import copy
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

from distill.charge import as_whole
from distill.engine_arguments import (
    check_choice,
    check_device,
    check_skin,
    is_number,
    unknown_option,
)
from distill.errors import DistillError, first_line
from distill.student import Student, load_student
from distill_openmm.masses import repartition
from distill_openmm.prepared import Prepared
from distill_openmm.region import (
    bonded_by_terms,
    check_bonds,
    check_cuts,
    check_region,
    classical_charge,
    constrained,
    is_water,
    label,
    neighbours,
)

BONDED, STUDENT, NONBONDED = 0, 1, 2
"""Force groups of a mixed System."""
NAMES = (
    "interpolate", "precision", "device", "skin", "charge", "hydrogen_mass", "link_atom_distances",
    "waters",
)  # fmt: skip
OF_EVERY_PARTICLE = (openmm.GBSAOBCForce, openmm.CustomGBForce, openmm.CustomManyParticleForce)
"""Forces that OpenMM-ML does not tell of its link atoms."""


def mixed(
    student: str | Path | Student,
    topology: app.Topology | Prepared,
    system: openmm.System | None = None,
    atoms: Iterable[int] | None = None,
    *,
    interpolate: bool = False,
    precision: str = "single",
    device: str | None = None,
    skin: float = 1.0,
    charge: int | None = None,
    hydrogen_mass: Any = None,
    link_atom_distances: Mapping[tuple[int, int], Any] | None = None,
    waters: bool = False,
    **unknown: Any,
) -> openmm.System:
    """A System in which the atoms' energy among themselves is the student's, and all else the force
    field's: a drug in water, a ligand in its protein. OpenMM-ML's ``createMixedSystem``, with
    mechanical embedding, does the work.

    topology, system: the force field's, of everything, with constraints and the method of
    electrostatics as they shall be in MD; neither is changed. atoms: the student's, in the
    student's order. All three may come as one ``Prepared``.

    The energy is MM(all) - MM(atoms) + student(atoms). MM(atoms) is what the force field says of
    these atoms alone in vacuum: bonded terms, Lennard-Jones and Coulomb of their pairs in the
    nearest image. With PME their interaction with their own periodic images, by the force field's
    charges, stays; so does their part in an implicit solvent, and in the correction for
    Lennard-Jones beyond the cutoff. The student's energy includes the isolated atoms'.

    Constraints among the atoms are removed, as the student was trained without; others, water's
    above all, stay. Bonds of no strength tell OpenMM which atoms are a molecule (``zero_bonds``).

    Force groups, where the given System has all forces in group 0: BONDED = 0 (and all that is not
    named here), STUDENT = 1, NONBONDED = 2 (with PME's reciprocal space, and implicit solvent). A
    System that has groups of its own keeps them, and the student gets 1, or the first that is free.

    interpolate: adds the global parameter ``lambda_interpolate``: 0 is the force field, 1 (the
    default) the mixed System, and between them the energy is linear. The force field's part of it
    has no cutoff. The System must have bond terms where it has constraints
    (``flexibleConstraints=True``), for at 0 nothing else would hold the hydrogens.
    precision: "single" or "double", of the network. device: torch's; None takes a GPU where there
    is one. skin: Å, of the neighbour list. charge: of the atoms, in e; None takes the sum of the
    force field's charges. Where the student has learned no such charge it says so.
    hydrogen_mass: Da; what each hydrogen gains its neighbour loses. All but rigid waters' are
    changed, the student's and the others'. None leaves all masses as they are.
    link_atom_distances: {(student's atom, other atom): Å or a Quantity} for bonds that are cut.
    Each gets a link atom, a hydrogen that the student sees and that OpenMM places on the bond, at
    the sum of the covalent radii where nothing is said. They are the System's last particles; see
    :func:`with_link_atoms`. waters: allows waters among the atoms.

    ``system.alarm`` is that of ``create_force``, None where it interpolates. Without a force
    field (``Prepared.system`` None) all is the student's. Raises DistillError for what cannot be
    meant.
    """
    for name in unknown:
        raise unknown_option("mixed", name, NAMES)
    expected: int | None = None
    if isinstance(topology, Prepared):
        prepared = topology
        topology, expected = prepared.topology, prepared.charge
        system = prepared.system if system is None else system
        atoms = prepared.atoms if atoms is None else atoms
        if system is None:
            system = without_force_field(prepared)
    check_choice("precision", precision, ("single", "double"))
    check_skin(skin, positive=True)
    if not isinstance(topology, app.Topology):
        raise DistillError(
            f"topology is of the type {type(topology).__name__}; give an openmm.app.Topology."
        )
    if not isinstance(system, openmm.System):
        raise DistillError(
            f"system is of the type {type(system).__name__}; give the force field's openmm.System "
            "of all atoms."
        )
    if atoms is None:
        raise DistillError("mixed needs atoms, the indices of the student's atoms.")
    check_forces(system, interpolate)
    chosen = check_region(topology, system, atoms, waters)
    bonds = neighbours(topology)
    check_bonds(system, bonds, chosen)
    cuts = check_cuts(topology, bonds, chosen)
    if cuts and any(isinstance(force, OF_EVERY_PARTICLE) for force in system.getForces()):
        raise DistillError(
            f"The student's atoms end at {label(list(topology.atoms())[cuts[0][0]])}, but implicit "
            "solvent knows no link atoms; use explicit water, or take the whole molecule."
        )
    if interpolate:
        check_held(system, bonds, chosen)
    own = copy.deepcopy(student) if isinstance(student, Student) else load_student(student)
    if charge is not None:
        expected = as_whole(charge, "charge", "charge")
    elif expected is None and not cuts:
        expected = classical_charge(system, chosen)
    own.check_charge(expected)

    options: dict[str, Any] = {"precision": precision, "skin": skin}
    if device is not None:
        options["device"] = check_device(device)
    options["linkAtomDistances"] = distances(link_atom_distances or {}, cuts)
    grouped = any(force.getForceGroup() for force in system.getForces())
    group = STUDENT if not grouped else free_group(system)
    before = system.getNumForces()
    try:
        from openmmml.mlpotential import MLPotential
    except ImportError as error:
        raise DistillError(
            f"OpenMM-ML cannot be imported ({error}); run pip install 'mlff-distiller[openmm]'."
        ) from error
    try:
        made = MLPotential("distill", modelPath=own).createMixedSystem(
            for_openmm_ml(topology, system), system, chosen,
            forceGroup=group, interpolate=interpolate, **options,
        )  # fmt: skip
    except (ValueError, NotImplementedError) as error:
        if isinstance(error, DistillError):
            raise
        if "torsion" in str(error):
            raise DistillError(
                "The System has a torsion along bonds that the topology does not have; call "
                "distill_openmm.add_bonds(topology, positions) before."
            ) from error
        raise DistillError(f"OpenMM-ML cannot mix this System: {first_line(error)}.") from error
    for k, force in enumerate(made.getForces()):
        if k >= before:
            force.setForceGroup(group)  # OpenMM-ML forgets it where it interpolates
        elif not grouped and of_pairs(force):
            force.setForceGroup(NONBONDED)
    made.alarm = getattr(made, "alarm", None)
    made.computation = getattr(made, "computation", None)
    if hydrogen_mass is not None:
        repartition(topology, made, hydrogen_mass, "hydrogen_mass", rigid_waters(topology, made))
    return made


def check_forces(system: openmm.System, interpolate: bool) -> None:
    """DistillError for forces that cannot be copied, or not mixed."""
    for force in system.getForces():
        if force.getName() == "TorchForce":
            # its reader ends the process
            raise DistillError(
                "The System has a TorchForce, which OpenMM-ML cannot copy; give mixed the force "
                "field's System, and add other forces afterwards."
            )
        if isinstance(force, openmm.PythonForce):
            raise DistillError(
                "The System has a PythonForce already, a student's perhaps; give mixed the force "
                "field's System as it was."
            )
        if interpolate and isinstance(force, openmm.CustomNonbondedForce):
            raise DistillError(
                "OpenMM-ML cannot interpolate where a CustomNonbondedForce is (CHARMM's NBFIX, "
                "12-6-4 ions); leave interpolate out."
            )


def check_held(system: openmm.System, bonds: dict[int, set[int]], atoms: list[int]) -> None:
    """DistillError where a constraint is all that holds two of the atoms together."""
    chosen = set(atoms)
    for i, j in sorted(constrained(system) - bonded_by_terms(system)):
        if i in chosen and j in chosen and j in bonds[i]:
            raise DistillError(
                f"The System has a constraint and no bond term for atoms {i} and {j}, so nothing "
                "would hold them at lambda_interpolate 0; make the System with "
                "flexibleConstraints=True, or without constraints and with rigidWater=True."
            )


def distances(
    given: Mapping[tuple[int, int], Any], cuts: list[tuple[int, int]]
) -> list[tuple[int, int, unit.Quantity]]:
    """Of link atoms, as OpenMM-ML wants them, which ignores those of bonds that are not cut."""
    found = []
    for pair, distance in dict(given).items():
        if tuple(pair) not in cuts:
            known = ", ".join(map(str, cuts)) or "none"
            raise DistillError(
                f"link_atom_distances has {pair}, which is no bond that is cut; these are {known} "
                "(the student's atom first)."
            )
        if unit.is_quantity(distance) and distance.unit.is_compatible(unit.angstrom):
            distance = distance.value_in_unit(unit.angstrom)
        if not is_number(distance) or not 0.8 <= float(distance) <= 2.0:
            raise DistillError(
                f"link_atom_distances has {distance} for {pair}; give 0.8 to 2.0 Å, 1.09 for "
                "hydrogen at a carbon."
            )
        found.append((*pair, float(distance) * unit.angstrom))
    return found


def free_group(system: openmm.System) -> int:
    """The student's force group in a System that has groups of its own."""
    taken = {0}
    for force in system.getForces():
        taken.add(force.getForceGroup())
        if isinstance(force, openmm.NonbondedForce):
            taken.add(force.getReciprocalSpaceForceGroup())
    free = [group for group in range(1, 32) if group not in taken]
    if not free:
        raise DistillError("All 32 force groups of the System are taken; leave one to the student.")
    return free[0]


def of_pairs(force: openmm.Force) -> bool:
    """Whether it belongs into the group NONBONDED."""
    return isinstance(
        force, (openmm.NonbondedForce, openmm.CustomNonbondedForce, *OF_EVERY_PARTICLE)
    )


def for_openmm_ml(topology: app.Topology, system: openmm.System) -> app.Topology:
    """A copy of the topology, periodic where the System is: PDB files have boxes that no force
    looks at, and a prmtop's topology may have none. Virtual sites (TIP4P's) get an element, which
    OpenMM-ML asks all atoms for and nobody looks at."""
    own = copy.deepcopy(topology)
    periodic = system.usesPeriodicBoundaryConditions()
    own.setPeriodicBoxVectors(system.getDefaultPeriodicBoxVectors() if periodic else None)
    for atom in own.atoms():
        if atom.element is None:
            atom.element = app.element.hydrogen
    return own


def rigid_waters(topology: app.Topology, system: openmm.System) -> set[int]:
    """Atoms of waters that have a constraint, whose masses OpenMM's force fields leave as well."""
    held = {i for pair in constrained(system) for i in pair}
    return {
        atom.index
        for residue in topology.residues()
        if is_water(residue)
        for atom in residue.atoms()
        if atom.index in held
    }


def without_force_field(prepared: Prepared) -> openmm.System:
    """Masses and the box, where the student has all atoms."""
    atoms = list(prepared.topology.atoms())
    if sorted(prepared.atoms) != list(range(len(atoms))):
        raise DistillError(
            "There is no force field for the atoms that are not the student's; give a System."
        )
    system = openmm.System()
    for atom in atoms:
        system.addParticle(0.0 if atom.element is None else atom.element.mass)
    if prepared.box is not None:
        system.setDefaultPeriodicBoxVectors(*(openmm.Vec3(*v) for v in 0.1 * prepared.box))
        bonds = openmm.HarmonicBondForce()  # of nothing, to say that the box is one
        bonds.setUsesPeriodicBoundaryConditions(True)
        system.addForce(bonds)
    return system


def with_link_atoms(
    topology: app.Topology, system: openmm.System, positions: Any
) -> tuple[app.Topology, NDArray[np.float64]]:
    """Topology and positions (M, 3) in nm of a mixed System, which has link atoms at its end.

    positions: (N, 3), a Quantity or in nm, of the topology's N atoms. What comes back is a copy,
    with hydrogens V0, V1, ... in a chain of their own. DistillError where a bond that is cut goes
    through the box's border: a link atom is placed on the straight line.
    """
    if isinstance(positions, unit.Quantity):
        positions = positions.value_in_unit(unit.nanometer)
    found = [np.array([*p], dtype=np.float64) for p in positions]
    own = copy.deepcopy(topology)
    first = own.getNumAtoms()
    chain = own.addChain() if system.getNumParticles() > first else None
    for site in range(first, system.getNumParticles()):
        link = system.getVirtualSite(site)
        inner, outer = found[link.getParticle(0)], found[link.getParticle(1)]
        length = float(np.linalg.norm(outer - inner))
        if not math.isfinite(length) or length > 0.35:
            raise DistillError(
                f"The bond of atoms {link.getParticle(0)} and {link.getParticle(1)} is "
                f"{10 * length:.1f} Å long, so no link atom can be placed on it; make the "
                "molecule whole across the box's border."
            )
        distance = link.getLocalPosition().x
        found.append(inner + distance * (outer - inner) / length)
        name = f"V{site - first}"
        own.addAtom(name, app.element.hydrogen, own.addResidue(name, chain))
    return own, np.array(found)
