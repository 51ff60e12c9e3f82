"""Is a student fit for MD? 100 ps at each temperature in OpenMM without a broken bond, NVE drift.

    python benchmarks/md_stability.py tiny "CC(=O)Nc1ccc(O)cc1" -o stability.json
    python benchmarks/md_stability.py tiny drugs:test:24 --temperatures 300 500 -o tiny.json

Langevin MD (1 fs) on OpenMM's Reference platform; a bond is broken when it is stretched by half of
its length at the start or more. Then NVE (velocity Verlet, 0.5 fs, from 300 K): the drift is the
slope of a straight line through the total energy, per atom. A stopped call goes on when it is given
again: molecules that are in the file already are left out.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit
from pool import in_processes
from stability import drift, of_bonds, summary

from distill import load_student
from distill.data.explore import first_geometries
from distill.data.molecules import Molecule, read_molecules
from distill.evaluate.report import provenance
from distill.student import Student
from distill_openmm.minimize import relax
from distill_openmm.module import KJ_PER_MOL_PER_EV
from distill_openmm.topology import system_of, topology_of


def simulation(
    student: Student,
    molecule: Molecule,
    integrator: openmm.Integrator,
    temperature: float,
    seed: int,
) -> app.Simulation:
    """At a relaxed geometry, with velocities of the temperature (K)."""
    topology = topology_of(molecule)
    system = system_of(student, topology)
    made = app.Simulation(topology, system, integrator, openmm.Platform.getPlatform("Reference"))
    made.context.setPositions(first_geometries(molecule, 1, seed)[0] * 0.1)
    relax(made.context, molecule.numbers, 500)
    made.context.setVelocitiesToTemperature(temperature * unit.kelvin, seed)
    return made


def positions(made: app.Simulation) -> np.ndarray:
    """(N, 3) in Å."""
    state = made.context.getState(positions=True)
    return state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)


def langevin(
    student: Student, molecule: Molecule, temperature: float, picoseconds: float, seed: int
) -> dict:
    """Langevin MD: the longest any bond became, relative to the start."""
    integrator = openmm.LangevinMiddleIntegrator(temperature, 1.0, 0.001)
    integrator.setRandomNumberSeed(seed)
    made = simulation(student, molecule, integrator, temperature, seed)
    bonds = np.array([(b[0].index, b[1].index) for b in made.topology.bonds()])
    first = np.linalg.norm(np.subtract(*positions(made)[bonds.T]), axis=-1)
    longest, temperatures, started = np.ones(len(bonds)), [], time.monotonic()
    steps = round(picoseconds * 1000)
    for _ in range(steps // 50):
        made.step(50)
        now = positions(made)
        longest = np.maximum(longest, np.linalg.norm(np.subtract(*now[bonds.T]), axis=-1) / first)
        kinetic = made.context.getState(energy=True).getKineticEnergy()._value
        temperatures.append(2 * kinetic / (3 * len(now) * 0.00831446261815324))
    seconds = time.monotonic() - started
    return {
        "picoseconds": steps / 1000,
        **of_bonds(longest),
        "mean_temperature_k": float(np.mean(temperatures[len(temperatures) // 10 :])),
        "ms_per_step": 1000 * seconds / steps,
        "ns_per_day": steps * 1e-6 / seconds * 86400,
    }


def nve(student: Student, molecule: Molecule, picoseconds: float, seed: int) -> dict:
    """Total energy over NVE at 0.5 fs, after 2 ps of equilibration at 300 K."""
    warm = openmm.LangevinMiddleIntegrator(300, 5.0, 0.0005)
    warm.setRandomNumberSeed(seed)
    both = openmm.CompoundIntegrator()
    both.addIntegrator(warm)
    both.addIntegrator(openmm.VerletIntegrator(0.0005))
    made = simulation(student, molecule, both, 300.0, seed)
    made.step(4000)
    both.setCurrentIntegrator(1)
    n, times, energies = len(molecule), [], []
    made.step(2)  # leap-frog velocities settle
    for block in range(round(picoseconds * 2000) // 20):
        made.step(20)
        state = made.context.getState(energy=True)
        times.append((block + 1) * 0.01)
        energies.append(
            (state.getKineticEnergy() + state.getPotentialEnergy())._value / KJ_PER_MOL_PER_EV / n
        )
    return drift(picoseconds, np.array(times), np.array(energies))


def judge(
    name: str, molecule: Molecule, temperatures: list[float], ps: float, nve_ps: float, seed: int
) -> dict:
    """All of one molecule."""
    student = load_student(name)
    return {
        "atoms": len(molecule),
        "nve": nve(student, molecule, nve_ps, seed),
        "langevin": {
            f"{kelvin:g} K": langevin(student, molecule, kelvin, ps, seed)
            for kelvin in temperatures
        },
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("student", help="name or file")
    parser.add_argument("source", help="SMILES, file, or set (drugs:test:24)")
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--temperatures", type=float, nargs="+", default=[300.0], help="in K")
    parser.add_argument("--ps", type=float, default=100.0, help="of Langevin MD")
    parser.add_argument("--nve-ps", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, help="default: one a core")
    arguments = parser.parse_args()
    load_student(arguments.student)  # a wrong name is told before anything else is done
    result: dict = {"molecules": {}}
    if arguments.out and arguments.out.exists():
        result = json.loads(arguments.out.read_text())
    molecules = {m.name: m for m in read_molecules(arguments.source)}
    settings = arguments.temperatures, arguments.ps, arguments.nve_ps, arguments.seed
    tasks = {
        name: (arguments.student, molecule, *settings)
        for name, molecule in molecules.items()
        if name not in result["molecules"]
    }
    for name, found in in_processes(judge, tasks, arguments.workers):
        result["molecules"][name] = found
        result |= {
            "student": arguments.student,
            "openmm": openmm.version.version,
            **provenance(),
            "summary": summary(result["molecules"]),
        }
        if arguments.out:
            arguments.out.write_text(json.dumps(result, indent=2) + "\n")
        print(name, json.dumps(found), flush=True)
    print(json.dumps(result["summary"], indent=2))


if __name__ == "__main__":
    main()
