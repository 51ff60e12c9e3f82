"""Minimization before MD, which undoes what went astray."""

import numpy as np
import openmm
from numpy.typing import NDArray

from distill.data.student_md import bonded_pairs, intact
from distill_openmm.contexts import Contexts

Array = NDArray[np.float64]
AROUND, ALONE = 500, 200
"""Iterations of the force field around the student's atoms, and of these."""
TOLERANCE = 10.0
"""kJ/mol/nm."""


def minimized(
    contexts: Contexts, positions: Array, box: Array | None, numbers: NDArray[np.int64]
) -> Array:
    """Positions (N, 3) in nm, minimized.

    First what is around the student's atoms, by the force field, then everything. numbers: of the
    student's atoms. The second is undone where it took them apart: OpenMM's L-BFGS takes trial
    steps of any length, and where atoms overlap, which no student has learned, there may be a hole
    that it falls into.
    """
    prepared = contexts.prepared
    atoms = prepared.atoms
    if prepared.system is not None and len(atoms) < len(positions):
        held = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(prepared.system))
        chosen = set(atoms)
        for k in reversed(range(held.getNumConstraints())):
            if chosen.intersection(held.getConstraintParameters(k)[:2]):
                held.removeConstraint(k)
        for atom in atoms:
            held.setParticleMass(atom, 0.0)
        positions, _ = descend(contexts, held, positions, box, AROUND)
    contexts.forget()
    after, lower = descend(contexts, contexts.system, positions, box, ALONE)
    bonds = bonded_pairs(numbers, 10.0 * positions[atoms])
    return after if lower and intact(numbers, 10.0 * after[atoms], bonds) else positions


def descend(
    contexts: Contexts, system: openmm.System, positions: Array, box: Array | None, iterations: int
) -> tuple[Array, bool]:
    """OpenMM's minimization of a System, and whether the energy is lower afterwards."""
    context = contexts.context(system, openmm.VerletIntegrator(0.001))
    if box is not None:
        context.setPeriodicBoxVectors(*box)
    context.setPositions(positions)
    before = context.getState(energy=True).getPotentialEnergy()._value
    openmm.LocalEnergyMinimizer.minimize(context, TOLERANCE, iterations)
    state = context.getState(positions=True, energy=True)
    found = state.getPositions(asNumpy=True)._value
    lower = state.getPotentialEnergy()._value <= before or not np.isfinite(before)
    return found, bool(lower and np.isfinite(found).all())
