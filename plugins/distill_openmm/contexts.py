"""Contexts of an MD run: a fresh one for each stretch, whose course its first State decides alone.

A Context that goes on keeps more than positions and velocities: neighbour lists, whose order
decides in which order forces are added up, and random numbers. Here each stretch of a run, between
two checkpoints, has a Context of its own with a seed of its own. So a run that was stopped goes on
as it would have done, in every bit, with one thread on the CPU or Reference platform; with several
threads OpenMM's CPU platform gives no two runs alike.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

from distill.errors import DistillError, reason
from distill.md.settings import MDSettings, Phase
from distill.stop import ctrl_c_later
from distill.student import Student
from distill_openmm.masses import repartition
from distill_openmm.mixed import mixed
from distill_openmm.prepared import Prepared
from distill_openmm.topology import system_of

Array = NDArray[np.float64]
BAROSTAT_EVERY = 25
"""Steps from one change of the volume to the next."""
PRECISIONS = {"float32": "single", "float64": "double"}
PROPERTIES = {
    "CPU": {"DeterministicForces": "true"},
    "CUDA": {"DeterministicForces": "true", "Precision": "mixed"},
    "HIP": {"DeterministicForces": "true", "Precision": "mixed"},
    "OpenCL": {"Precision": "mixed"},
}


@dataclass(eq=False)
class Moment:
    """Where a run is: step counts from its start, positions (N, 3) in nm, velocities (N, 3) in
    nm/ps, box (3, 3) in nm or None."""

    step: int
    positions: Array
    velocities: Array
    box: Array | None


class Contexts:
    """Makes them, of one System. ``system`` is the student's and the force field's."""

    def __init__(self, student: Student, prepared: Prepared, settings: MDSettings):
        self.settings = settings
        self.prepared = prepared
        topology, mass = prepared.topology, settings.hydrogen_mass
        if prepared.system is None:
            self.system = system_of(
                student, topology, kind="python", dtype=settings.precision,
                threads=settings.threads,
            )  # fmt: skip
            computation = self.system.force.computation
            if mass is not None:
                repartition(topology, self.system, mass, "hydrogen_mass")
        else:
            self.system = mixed(
                student, prepared, precision=PRECISIONS[settings.precision], hydrogen_mass=mass,
                waters=True,
            )  # fmt: skip
            computation = self.system.computation
        # frames are looked at instead: each step's would cost more, and warn in between
        computation.alarm = None
        self.forget = computation.forget
        self.barostat = None
        if settings.ensemble == "npt":
            pressure = settings.pressure * unit.bar
            self.barostat = openmm.MonteCarloBarostat(pressure, settings.temperature, 0)
            self.system.addForce(self.barostat)
        self.platform = platform_for(settings.platform, prepared.system is None)

    def make(self, moment: Moment, phase: Phase) -> tuple[openmm.Context, openmm.Integrator]:
        """A Context at a moment of a phase, ready to step."""
        self.forget()
        step = 0.001 * self.settings.timestep
        if phase.thermostat:
            integrator = openmm.LangevinMiddleIntegrator(phase.temperature, phase.friction, step)
            integrator.setRandomNumberSeed(seed_of(self.settings.seed, moment.step, 1))
        else:
            integrator = openmm.VerletIntegrator(step)
        if self.barostat is not None:
            self.barostat.setFrequency(BAROSTAT_EVERY if phase.barostat else 0)
            self.barostat.setRandomNumberSeed(seed_of(self.settings.seed, moment.step, 2))
        context = self.context(self.system, integrator)
        place(context, moment)
        return context, integrator

    def context(self, system: openmm.System, integrator: openmm.Integrator) -> openmm.Context:
        """One of a System on the run's platform; DistillError where that cannot be."""
        return context_on(self.platform, system, integrator, self.settings.threads)


def context_on(
    platform: openmm.Platform, system: openmm.System, integrator: openmm.Integrator, threads: int
) -> openmm.Context:
    """A Context with the properties of PROPERTIES; threads: of the CPU platform. DistillError where
    OpenMM makes none."""
    name = platform.getName()
    properties = dict(PROPERTIES.get(name, {}))
    if name == "CPU":
        properties["Threads"] = str(threads)
    try:
        return openmm.Context(system, integrator, platform, properties)
    except openmm.OpenMMException as error:
        raise DistillError(
            f"OpenMM cannot run this on the platform {name} ({reason(error)})."
        ) from error


def place(context: openmm.Context, moment: Moment) -> None:
    """Puts a Context where a moment is."""
    if moment.box is not None:
        context.setPeriodicBoxVectors(*moment.box)
    context.setPositions(moment.positions)
    context.setVelocities(moment.velocities)


def look(context: openmm.Context, step: int, periodic: bool, **more: bool) -> tuple[Moment, Any]:
    """The moment that a Context is at, molecules unwrapped, and the State with what else was asked
    for."""
    with ctrl_c_later():  # OpenMM would make an error of its own of it
        state = context.getState(positions=True, velocities=True, **more)
    box = state.getPeriodicBoxVectors(asNumpy=True)._value if periodic else None
    return (
        Moment(
            step, state.getPositions(asNumpy=True)._value,
            state.getVelocities(asNumpy=True)._value, box,
        ),
        state,
    )  # fmt: skip


def seed_of(seed: int, step: int, what: int) -> int:
    """A seed for OpenMM, which is never 0: that would mean one from the clock."""
    return 1 + int(np.random.SeedSequence([seed, step, what]).generate_state(1)[0] % (2**31 - 2))


def platform_for(name: str, alone: bool) -> openmm.Platform:
    """An OpenMM platform by its name. auto: where the student is ``alone``, Reference, which hands
    over to it at the least cost; else the fastest that there is."""
    there = platforms()
    if name == "auto":
        if alone:
            return openmm.Platform.getPlatform("Reference")
        usable = [platform for platform in there if works(platform)]
        return max(usable, key=lambda platform: float(platform.getSpeed()))
    for platform in there:
        if platform.getName().lower() == name.lower():
            return platform
    names = ", ".join(platform.getName() for platform in there)
    raise DistillError(f"--platform is '{name}'; OpenMM has {names} here.")


def platforms() -> list[openmm.Platform]:
    """Those that OpenMM has, which need not work here."""
    return [openmm.Platform.getPlatform(k) for k in range(openmm.Platform.getNumPlatforms())]


def works(platform: openmm.Platform) -> bool:
    """Whether it can be used here: CUDA's library may be there without a GPU."""
    system = openmm.System()
    system.addParticle(1.0)
    try:
        openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    except openmm.OpenMMException:
        return False
    return True
