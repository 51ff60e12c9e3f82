"""Minimization before MD, which undoes what went astray."""

import copy
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray

from distill.data.student_md import bonded_pairs, intact
from distill.stop import ctrl_c_later
from distill_openmm.contexts import Contexts
from distill_openmm.mixed import with_link_atoms

Array = NDArray[np.float64]
AROUND, ALONE = 500, 200
"""Iterations of the force field around the student's atoms, and of these."""
TOLERANCE = 10.0
"""kJ/mol/nm."""
SHOWN, LOGGED = 0.3, 15.0
"""Seconds from one look at where a minimization is to the next, on the display and in the log."""
Tell = Callable[[str, bool], None]
"""Is told where a minimization is; True: for the log, too."""


def silent(text: str, log: bool) -> None:
    """Tells nobody."""


def minimized(
    contexts: Contexts, positions: Array, box: Array | None, numbers: NDArray[np.int64],
    tell: Tell = silent,
) -> Array:  # fmt: skip
    """Positions (M, 3) in nm of the mixed System's particles, minimized: first what is around the
    student's atoms, by the force field, then everything.

    positions: (N, 3) in nm, of the topology's atoms. numbers: of the student's atoms. tell: is told
    how far it is.
    """
    prepared = contexts.prepared
    if prepared.system is not None and len(prepared.atoms) < len(positions):
        held = around(prepared.system, prepared.atoms)
        context = placed(contexts, held, positions, box)
        descend(context, AROUND, tell, "Minimization around the student's atoms")
        positions = context.getState(positions=True).getPositions(asNumpy=True)._value
    if contexts.system.getNumParticles() > len(positions):
        _, positions = with_link_atoms(prepared.topology, contexts.system, positions)
    contexts.forget()
    context = placed(contexts, contexts.system, positions, box)
    relax(context, numbers, ALONE, prepared.atoms, tell)
    return np.asarray(context.getState(positions=True).getPositions(asNumpy=True)._value)


class Reporter(openmm.MinimizationReporter):
    """Tells where a minimization, ``what``, is. Ends it when Ctrl-C has come: when there is
    something in the list ``came``, or, where no other thread takes it, when it waits."""

    def __init__(self, came: list[int], tell: Tell, what: str):
        super().__init__()
        self.came, self.tell, self.what = came, tell, what
        self.count, self.energy = 0, 0.0
        self.shown = self.logged = time.monotonic()

    def report(self, iteration: int, x: Any, grad: Any, args: Any) -> bool:
        """Called by OpenMM after each iteration; it counts anew where constraints get stiffer."""
        time.sleep(1e-6)  # only then Python looks for signals
        self.count += 1
        self.energy = args["system energy"]
        now = time.monotonic()
        if now - self.shown > SHOWN:
            self.shown, log = now, now - self.logged > LOGGED
            self.logged = now if log else self.logged
            self.say(log)
        return bool(self.came) or signal.SIGINT in signal.sigpending()

    def say(self, log: bool) -> None:
        """Iterations and energy."""
        self.tell(f"{self.what}: {self.count} iterations, {self.energy:,.0f} kJ/mol", log)


def descend(
    context: openmm.Context, iterations: int, tell: Tell = silent, what: str = "Minimization"
) -> None:
    """OpenMM's minimization, which hears Ctrl-C."""
    with ctrl_c_later() as came:
        reporter = Reporter(came, tell, what)
        openmm.LocalEnergyMinimizer.minimize(context, TOLERANCE, iterations, reporter)
    if reporter.count:
        reporter.say(True)


def around(system: openmm.System, atoms: Sequence[int]) -> openmm.System:
    """A copy of a System in which some atoms do not move."""
    held = copy.deepcopy(system)
    chosen = set(atoms)
    for k in reversed(range(held.getNumConstraints())):
        if chosen.intersection(held.getConstraintParameters(k)[:2]):
            held.removeConstraint(k)
    for atom in atoms:
        held.setParticleMass(atom, 0.0)
    return held


def placed(
    contexts: Contexts, system: openmm.System, positions: Array, box: Array | None
) -> openmm.Context:
    """A Context of a System at positions (N, 3) in a box (3, 3), in nm."""
    context = contexts.context(system, openmm.VerletIntegrator(0.001))
    if box is not None:
        context.setPeriodicBoxVectors(*box)
    context.setPositions(positions)
    return context


def relax(
    context: openmm.Context, numbers: NDArray[np.int64], iterations: int,
    atoms: Sequence[int] | None = None, tell: Tell = silent,
) -> bool:  # fmt: skip
    """OpenMM's minimization, undone where it took the student's atoms (None: all) apart; whether it
    was kept.

    Its L-BFGS takes trial steps of any length, and where atoms overlap, which no student has
    learned, there may be a hole that it falls into. numbers: of the student's atoms.
    """
    chosen = slice(None) if atoms is None else list(atoms)
    with ctrl_c_later():  # OpenMM would make an error of its own of it
        before = context.getState(positions=True, energy=True, forces=True)
    start = before.getPositions(asNumpy=True)._value
    if not np.isfinite(before.getForces(asNumpy=True)._value).all():
        return False  # MD will say so
    descend(context, iterations, tell)
    with ctrl_c_later():
        after = context.getState(positions=True, energy=True)
    end = after.getPositions(asNumpy=True)._value
    lower = after.getPotentialEnergy() <= before.getPotentialEnergy()
    if lower and np.isfinite(end).all():
        bonds = bonded_pairs(numbers, 10.0 * start[chosen])
        if intact(numbers, 10.0 * end[chosen], bonds):
            return True
    context.setPositions(start)
    return False
