"""``distill bench --solvent``: a drug in water, by the force field alone and with each student."""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import openmm

from distill.bench.measure import NO_DEVICE, ROUNDS
from distill.bench.systems import PARACETAMOL
from distill.data.explore import first_geometries
from distill.data.molecules import from_smiles
from distill.student.file import load_student
from distill_openmm.contexts import context_on, platform_for, platforms, works
from distill_openmm.masses import repartition
from distill_openmm.mixed import mixed, rigid_waters
from distill_openmm.prepared import Prepared
from distill_openmm.solvate import solvate
from distill_openmm.surroundings import radius

STEP = 2.0
"""fs."""
HYDROGEN = 3.0
"""Da."""
DENSITY = 0.1
"""Atoms of water in a cubic Å."""
MM = "none"
"""In the place of a size: the force field alone."""


def rows(
    sizes: Sequence[str], atoms: Sequence[int], threads: Sequence[int], devices: Sequence[str],
    seconds: float, say: Callable[[str], None],
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Rows of paracetamol in about so many atoms of TIP3P, NVT, 2 fs, hydrogens of 3 Da.

    All of a box and a number of threads are timed by turns, so that what slows the machine down
    slows all of them; ``added_percent`` is the median of what a student's round takes more than
    the force field's round beside it. seconds: of a row's rounds together, about.
    """
    names = ["CPU"] if "cpu" in devices else []
    if "cuda" in devices:
        if any(one.getName() == "CUDA" and works(one) for one in platforms()):
            names.append("CUDA")
        else:
            yield {"engine": "openmm-cuda", "size": "", "note": NO_DEVICE}
    for count in atoms:
        say(f"A box of {count:,} atoms")
        prepared = box_of(count, say)
        for platform in names:
            for number in threads if platform == "CPU" else (1,):
                say(f"{count:,} atoms, {platform}, {number} threads")
                yield from timed(prepared, sizes, platform, number, seconds)


def box_of(atoms: int, say: Callable[[str], None]) -> Prepared:
    """Paracetamol in water, with about so many atoms in all."""
    drug = from_smiles(PARACETAMOL)
    start = first_geometries(drug, 1, 0)[0]
    width = float((atoms / DENSITY / 0.5**0.5) ** (1 / 3))  # of a rhombic dodecahedron
    return solvate(drug, start, padding=0.5 * width - radius(start), say=say)


def timed(
    prepared: Prepared, sizes: Sequence[str], platform: str, threads: int, seconds: float
) -> list[dict[str, Any]]:
    """Rows of one box: the force field alone, then each student."""
    runs = {MM: context_of(prepared, None, platform, threads)}
    runs |= {size: context_of(prepared, size, platform, threads) for size in sizes}
    each = {name: rough(integrator) for name, (_, integrator) in runs.items()}
    steps = {name: max(1, round(seconds / ROUNDS / took)) for name, took in each.items()}
    measured: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, (_, integrator) in runs.items():
            begin = time.perf_counter()
            integrator.step(steps[name])
            measured[name].append(1000.0 * (time.perf_counter() - begin) / steps[name])
    found = []
    for name, rounds in measured.items():
        ms = float(np.median(rounds))
        row: dict[str, Any] = {
            "engine": f"openmm-{platform.lower()}", "size": name, "precision": "float32",
            "device": "cpu" if platform == "CPU" else "cuda", "threads": threads,
            "atoms": prepared.topology.getNumAtoms(), "ms_per_step": ms, "least": min(rounds),
            "most": max(rounds), "ns_per_day": 86400.0 / ms * STEP * 1e-3,
        }  # fmt: skip
        if name != MM:
            ratios = np.array(rounds) / np.array(measured[MM])
            row["added_percent"] = 100.0 * (float(np.median(ratios)) - 1.0)
        found.append(row)
    return found


def context_of(
    prepared: Prepared, size: str | None, platform: str, threads: int
) -> tuple[openmm.Context, openmm.Integrator]:
    """A Context at 300 K after a short relaxation; size None is the force field alone."""
    if size is None:
        system = copy.deepcopy(prepared.system)
        rigid = rigid_waters(prepared.topology, system)
        repartition(prepared.topology, system, HYDROGEN, "hydrogen_mass", rigid)
    else:
        student = load_student(size)
        system = mixed(student, prepared, hydrogen_mass=HYDROGEN)
        if system.computation is not None:
            system.computation.alarm = None  # as `distill md` does it
    integrator = openmm.LangevinMiddleIntegrator(300, 5.0, 0.001 * STEP)
    integrator.setRandomNumberSeed(1)
    context = context_on(platform_for(platform, False), system, integrator, threads)
    context.setPositions(0.1 * prepared.positions)
    openmm.LocalEnergyMinimizer.minimize(context, 10.0, 50)
    context.setVelocitiesToTemperature(300, 1)
    return context, integrator


def rough(integrator: openmm.Integrator) -> float:
    """Seconds a step, about; the first steps build lists."""
    integrator.step(20)
    begin = time.perf_counter()
    integrator.step(20)
    return (time.perf_counter() - begin) / 20
