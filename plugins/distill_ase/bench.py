"""``distill bench`` through ASE."""

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet

from distill.student import Student
from distill_ase.calculator import StudentCalculator


def make(case: Any, student: Student, atoms: Atoms) -> Callable[[int], None]:
    """Velocity Verlet with a StudentCalculator; see ``distill.bench.engines``."""
    atoms = atoms.copy()
    atoms.calc = StudentCalculator(student, case.device, case.dtype, threads=case.threads)
    MaxwellBoltzmannDistribution(atoms, temperature_K=300, rng=np.random.default_rng(0))
    dynamics = VelocityVerlet(atoms, 0.5 * units.fs)
    return lambda steps: dynamics.run(steps) and None
