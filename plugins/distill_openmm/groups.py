"""The temperature of some of the atoms of a System."""

from collections.abc import Sequence

import numpy as np
import openmm
from numpy.typing import NDArray

BOLTZMANN = 8.31446261815324e-3
"""kJ/mol/K."""


class Group:
    """Atoms, and their degrees of freedom: three each, less one for each constraint among them, and
    their part of the three of the centre of mass where that is kept at rest.

    In equilibrium every group has the same mean temperature (equipartition).
    """

    def __init__(
        self, atoms: Sequence[int], masses: NDArray[np.float64], constraints: NDArray[np.int64],
        at_rest: bool,
    ) -> None:  # fmt: skip
        """masses (N,) in Da and constraints (K, 2), of pairs, are the whole System's."""
        inside = np.zeros(len(masses), dtype=bool)
        inside[list(atoms)] = True
        inside &= masses > 0
        self.atoms = np.flatnonzero(inside)
        self.masses = masses[self.atoms]
        freedom = 3.0 * len(self.atoms) - 0.5 * float(inside[constraints].sum())
        if at_rest:
            freedom -= 3.0 * self.masses.sum() / max(masses.sum(), 1e-300)
        self.freedom = freedom

    def centre(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """The centre of mass (3,), of positions (N, 3) of the whole System, in their unit."""
        return (self.masses[:, None] * positions[self.atoms]).sum(0) / float(self.masses.sum())

    def temperature(self, velocities: NDArray[np.float64]) -> float | None:
        """In K, of velocities (N, 3) of the whole System in nm/ps; None of an empty group."""
        if self.freedom < 0.5:
            return None
        kinetic = 0.5 * float((self.masses[:, None] * velocities[self.atoms] ** 2).sum())
        return 2.0 * kinetic / (self.freedom * BOLTZMANN)


def groups(system: openmm.System, *chosen: Sequence[int]) -> list[Group]:
    """Some groups of a System's atoms, which is read once."""
    masses = np.array([system.getParticleMass(k)._value for k in range(system.getNumParticles())])
    pairs = [system.getConstraintParameters(k)[:2] for k in range(system.getNumConstraints())]
    constraints = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    at_rest = any(isinstance(force, openmm.CMMotionRemover) for force in system.getForces())
    return [Group(atoms, masses, constraints, at_rest) for atoms in chosen]
