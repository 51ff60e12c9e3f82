"""MD of one molecule, start to finish: what ``distill run`` ends with.

``distill`` finds :func:`run_md` through the entry-point group ``distill.engines``.
"""

import csv
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from ase.data import atomic_masses
from numpy.typing import NDArray
from openmm import app, unit

from distill import kernels
from distill.data.molecules import Molecule
from distill.data.student_md import bonded_pairs, intact
from distill.kernels import KernelStudent
from distill.student import Student
from distill.student.latent import Alarm, rms
from distill_openmm.bonds import zero_bonds
from distill_openmm.force import create_force


def topology_of(molecule: Molecule) -> app.Topology:
    """A Topology of one residue, with bonds where they are known; isotopes have their masses."""
    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    atoms = []
    seen: dict[str, int] = {}
    for number, mass in zip(molecule.numbers, molecule.masses):
        element = app.Element.getByAtomicNumber(int(number))
        if mass != atomic_masses[number]:
            element = Isotope(element, mass)
        seen[element.symbol] = seen.get(element.symbol, 0) + 1
        name = f"{element.symbol}{seen[element.symbol]}"
        atoms.append(topology.addAtom(name, element, residue))
    if molecule.rdmol is not None:
        for bond in molecule.rdmol.GetBonds():
            topology.addBond(atoms[bond.GetBeginAtomIdx()], atoms[bond.GetEndAtomIdx()])
    return topology


class Isotope(app.Element):
    """An element of another mass, which OpenMM's table of elements does not hold."""

    def __init__(self, element: app.Element, mass: float):
        # not Element's own, which would enter it into the table that PDB files are read by
        self._atomic_number, self._name = element.atomic_number, element.name
        self._symbol, self._mass = element.symbol, mass * unit.dalton


def system_of(
    student: str | Path | Student, topology: app.Topology, **options: Any
) -> openmm.System:
    """A System of the topology's atoms with the student as its only force, beside bonds of no
    strength (see ``zero_bonds``).

    options: those of ``create_force``.
    """
    system = openmm.System()
    box = topology.getPeriodicBoxVectors()
    if box is not None:
        system.setDefaultPeriodicBoxVectors(*box)
    for atom in topology.atoms():
        system.addParticle(0.0 if atom.element is None else atom.element.mass)
    system.addForce(create_force(student, topology, system=system, **options))
    system.addForce(zero_bonds(topology, options.get("atoms")))
    return system


def relax(simulation: app.Simulation, numbers: NDArray[np.int64], iterations: int) -> bool:
    """OpenMM's minimization, undone where it went astray; whether it was kept.

    Its L-BFGS takes trial steps of any length, and where atoms overlap, which no student has
    learned, there may be a hole that it falls into.
    """
    before = simulation.context.getState(positions=True, energy=True)
    start = before.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    simulation.minimizeEnergy(maxIterations=iterations)
    after = simulation.context.getState(positions=True, energy=True)
    end = after.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    lower = after.getPotentialEnergy() <= before.getPotentialEnergy()
    if lower and intact(numbers, end, bonded_pairs(numbers, start)):
        return True
    simulation.context.setPositions(start * 0.1)
    return False


class Watch:
    """Looks at frames of MD for atoms that are unlike all that the student has learned."""

    def __init__(self, student: Student, numbers: NDArray[np.int64]):
        self.alarm = None
        if student.latent is not None and kernels.available():
            self.alarm = Alarm(student.latent)
            self.kernel = KernelStudent(student)
        self.numbers = numbers
        self.errors: list[float] = []

    def __call__(self, positions: NDArray[np.float64]) -> None:
        """One frame (N, 3) in Å."""
        if self.alarm is None or not np.isfinite(positions).all():
            return
        distances = self.kernel.evaluate(positions, self.numbers).distances
        self.errors.append(rms(self.alarm.latent.errors(distances)))
        self.alarm.look(distances, self.numbers, positions)

    def report(self) -> dict[str, Any]:
        """frames, how many had a strange atom and which, and the force error to be expected
        (eV/Å)."""
        if self.alarm is None or not self.errors:
            return {}
        return {
            "frames": self.alarm.looked,
            "frames_unlike_training": self.alarm.strange,
            "atoms_unlike_training": dict(self.alarm.atoms.most_common(5)),
            "uncertainty": rms(np.array(self.errors)),
        }


def run_md(
    student: Student,
    molecule: Molecule,
    positions: NDArray[np.float64],
    out: Path,
    *,
    temperature: float = 300.0,
    minutes: float | None = None,
    steps: int | None = None,
    timestep: float = 1.0,
    seed: int = 0,
    interval: int = 100,
    on_chunk: Callable[[float], None] = lambda share: None,
) -> dict[str, Any]:
    """Langevin MD in vacuum; writes topology.pdb, trajectory.dcd and md.csv into ``out``.

    positions: (N, 3) in Å. temperature in K, timestep in fs. Ends after ``minutes`` or ``steps``.
    A frame every ``interval`` steps. Returns what was done: steps, picoseconds, ms/step, ns/day;
    and what the student says of it, see :class:`Watch`. ``broke_up`` says in a sentence when the
    molecule came apart. MD ends where coordinates or energies are no longer numbers; the files hold
    what came before.
    """
    topology = topology_of(molecule)
    system = system_of(student, topology)
    integrator = openmm.LangevinMiddleIntegrator(
        temperature * unit.kelvin, 1.0 / unit.picosecond, timestep * unit.femtoseconds
    )
    integrator.setRandomNumberSeed(seed)
    # the network is all the work there is, and Reference hands over to it at the least cost
    platform = openmm.Platform.getPlatform("Reference")
    simulation = app.Simulation(topology, system, integrator, platform)
    simulation.context.setPositions(np.asarray(positions) * 0.1)
    relax(simulation, molecule.numbers, 200)
    simulation.context.setVelocitiesToTemperature(temperature * unit.kelvin, seed)
    state = simulation.context.getState(positions=True)
    with (out / "topology.pdb").open("w") as file:
        app.PDBFile.writeFile(topology, state.getPositions(), file)
    simulation.reporters = [
        app.DCDReporter(str(out / "trajectory.dcd"), interval, enforcePeriodicBox=False),
        app.StateDataReporter(
            str(out / "md.csv"), interval, step=True, time=True, potentialEnergy=True,
            kineticEnergy=True, totalEnergy=True, temperature=True, speed=True,
        ),
    ]  # fmt: skip
    watch = Watch(student, molecule.numbers)
    bonds = bonded_pairs(molecule.numbers, 10.0 * state.getPositions(asNumpy=True)._value)
    started = time.monotonic()
    done, seconds = 0, 0.0
    told: dict[str, str] = {}
    while True:
        try:
            simulation.step(interval)
            state = simulation.context.getState(positions=True)
        except (openmm.OpenMMException, ValueError) as error:  # ValueError is the reporters'
            if "nan" not in str(error).lower() and "infinite" not in str(error):
                raise
            told["broke_up"] = (
                f"The MD ended after {done:,} steps: coordinates or energies are no numbers any "
                "more. Take a shorter time step or a lower temperature, or train the student "
                "further."
            )
            break
        done += interval
        frame = 10.0 * state.getPositions(asNumpy=True)._value
        watch(frame)
        if not told and not intact(molecule.numbers, frame, bonds):
            told["broke_up"] = (
                f"The molecule came apart within {done:,} steps of MD: a bond is twice as long as "
                "it should be, or atoms are on top of each other. Where that is no chemistry, take "
                "a shorter time step or a lower temperature, or train the student further."
            )
        seconds = time.monotonic() - started
        share = done / steps if steps is not None else seconds / (60.0 * (minutes or 0.0))
        on_chunk(min(1.0, share))
        if share >= 1.0:
            break
    return {
        "engine": f"OpenMM {openmm.version.version}",
        "platform": platform.getName(),
        "temperature_k": temperature,
        "timestep_fs": timestep,
        "steps": done,
        "picoseconds": done * timestep / 1000.0,
        "ms_per_step": 1000.0 * seconds / max(1, done),
        "ns_per_day": done * timestep * 1e-6 / (max(seconds, 1e-9) / 86400.0),
        "mean_temperature_k": mean_temperature(out / "md.csv"),
        **watch.report(),
        **told,
    }


def mean_temperature(table: Path) -> float:
    """Mean of the temperature column, in K, without the first fifth (equilibration); 0 of none."""
    with table.open() as file:
        rows: Sequence[dict[str, str]] = list(csv.DictReader(file))
    temperatures = [float(row["Temperature (K)"]) for row in rows]
    return float(np.mean(temperatures[len(temperatures) // 5 :])) if temperatures else 0.0
