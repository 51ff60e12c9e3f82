"""What an ``openmm.PythonForce`` calls: a State's positions to energy and forces."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from distill.errors import DistillError
from distill.kernels import Kernel
from distill.student.latent import Alarm
from distill_openmm.module import ANGSTROM_PER_NM, KJ_PER_MOL_PER_EV, OpenMMStudent

Array = NDArray[np.float64]
Evaluate = Callable[[Array, Array | None], tuple[float, Array, Array | None]]
"""Positions (N, 3) and the box (3, 3) or None, in Å, to the energy in eV, forces (N, 3) in eV/Å,
and how unlike the training set each atom is (N,), or None."""


class Computation:
    """Energy in kJ/mol and forces (M, 3) in kJ/mol/nm of a State of M particles.

    numbers: the atomic numbers of the student's atoms. atoms: which of the State's particles they
    are; None for the first ones. Forces on other particles are zero. alarm: looks at geometries
    that are kept: at one a step of MD, and at none of those that a minimizer tries.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        numbers: list[int],
        atoms: list[int] | None,
        periodic: bool,
        alarm: Alarm | None = None,
    ):
        self.evaluate = evaluate
        self.numbers = np.array(numbers, dtype=np.int64)
        self.atoms = np.arange(len(numbers)) if atoms is None else np.array(atoms)
        self.in_order = bool((self.atoms == np.arange(len(numbers))).all())
        self.needed = int(self.atoms.max()) + 1
        self.periodic = periodic
        self.alarm = alarm
        self._looked: tuple[int, Array] | None = None

    def __call__(self, state: Any) -> tuple[float, Array]:
        # bare values are in nm: a unit conversion would cost more than all the rest
        everyone = state.getPositions(asNumpy=True)._value
        if len(everyone) < self.needed:
            raise DistillError(too_few(len(everyone), self.needed))
        whole = self.in_order and len(everyone) == self.needed
        positions = (everyone if whole else everyone[self.atoms]) * ANGSTROM_PER_NM
        box = None
        if self.periodic:
            box = state.getPeriodicBoxVectors(asNumpy=True)._value * ANGSTROM_PER_NM
        energy, forces, distances = self.evaluate(positions, box)
        if self.alarm is not None and distances is not None:
            caller = sys._getframe().f_back
            if self._is_kept(state.getStepCount(), positions, caller):
                self.alarm(distances, self.numbers, positions, box, self.periodic)
        forces = forces * (KJ_PER_MOL_PER_EV * ANGSTROM_PER_NM)
        if not whole:
            own, forces = forces, np.zeros(everyone.shape)
            forces[self.atoms] = own
        return energy * KJ_PER_MOL_PER_EV, forces

    def forget(self) -> None:
        """What lasts from call to call is built anew, so that the next one depends on its State
        alone."""
        forget = getattr(self.evaluate, "forget", None)
        if forget is not None:
            forget()

    def _is_kept(self, step: int, positions: Array, caller: FrameType | None) -> bool:
        """Whether this is a geometry to be looked at, and was not looked at before.

        caller: the Python function that OpenMM was called by; None on a thread of OpenMM's own.
        """
        name = caller.f_code.co_name if caller is not None else "step"
        if name == "minimize":
            return False
        if self._looked is not None:
            # within a step, a barostat asks for energies of boxes that it may not keep
            if name == "step" and step == self._looked[0]:
                return False
            if np.array_equal(positions, self._looked[1]):
                return False
        self._looked = (step, positions)
        return True


def too_few(particles: int, needed: int) -> str:
    """The sentence for a System that does not belong to the topology."""
    return (
        f"The System has {particles} particles, but the student acts on particles up to index "
        f"{needed - 1}; give create_force the topology of this System, or the student's atoms in "
        "it."
    )


class KernelEvaluate:
    """An ``Evaluate`` of a fused kernel."""

    def __init__(self, kernel: Kernel, numbers: list[int]):
        self.kernel = kernel
        self.numbers = np.array(numbers, dtype=np.int64)

    def __call__(self, positions: Array, box: Array | None) -> tuple[float, Array, Array | None]:
        answer = self.kernel.evaluate(positions, self.numbers, box, box is not None)
        return float(answer.energies.sum()), answer.forces, answer.distances

    def forget(self) -> None:
        """The neighbour list."""
        self.kernel.forget()


class TorchEvaluate:
    """An ``Evaluate`` of torch on a device, which cannot tell how unlike the training set it is."""

    def __init__(self, module: OpenMMStudent):
        self.module = module

    def __call__(self, positions: Array, box: Array | None) -> tuple[float, Array, None]:
        device = self.module.numbers.device
        cell = None if box is None else torch.from_numpy(box).to(device)
        energy, forces = self.module.compute(torch.from_numpy(positions).to(device), cell)
        return energy.item(), forces.double().cpu().numpy(), None

    def forget(self) -> None:
        """The neighbour list."""
        self.module.neighbours.forget()
