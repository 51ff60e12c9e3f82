"""Frames of the teacher's own MD: the test that no force field's or student's geometries can pass.

    python benchmarks/teacher_md.py "CC(=O)Nc1ccc(O)cc1" -o paracetamol-teacher-md.xyz

Langevin MD (BAOAB, 1 fs) with the teacher's forces, from relaxed conformers, at each temperature.
The extended XYZ file that it writes is what `distill evaluate` reads.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.optimize import LBFGS
from ase_teacher import TeacherCalculator

from distill.data.explore import first_geometries
from distill.data.langevin import langevin
from distill.data.molecules import Molecule, read_molecules

EQUILIBRATION, INTERVAL = 300, 20


def trajectory(
    molecule: Molecule, teacher_name: str, temperature: float, replica: int, frames: int, seed: int
) -> list[Atoms]:
    """``frames`` labelled frames of one replica, INTERVAL fs apart."""
    start = first_geometries(molecule, 4, seed)[replica % 4]
    atoms = molecule.atoms(start)
    atoms.calc = TeacherCalculator(teacher_name)
    LBFGS(atoms, logfile=None).run(fmax=0.3, steps=50)  # off the force field's minimum

    def forces(positions: np.ndarray) -> np.ndarray:
        atoms.positions = positions
        return atoms.get_forces()

    rng = np.random.default_rng([seed, replica, int(temperature)])
    steps = langevin(
        atoms.positions, np.zeros_like(start), molecule.masses, forces, temperature, rng
    )
    taken = []
    for step in range(1, EQUILIBRATION + frames * INTERVAL + 1):
        positions, _ = next(steps)
        if step > EQUILIBRATION and (step - EQUILIBRATION) % INTERVAL == 0:
            frame = molecule.atoms(positions)
            frame.info |= {
                "name": molecule.name,
                "temperature": temperature,
                "source": "teacher-md",
            }
            frame.calc = SinglePointCalculator(
                frame, forces=forces(positions), energy=atoms.get_potential_energy()
            )
            taken.append(frame)
    return taken


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--teacher", default="gfn2-xtb")
    parser.add_argument("--temperatures", default="300,500")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--frames", type=int, default=50, help="of each replica and temperature")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    (molecule,) = read_molecules(arguments.source)
    temperatures = [float(t) for t in arguments.temperatures.split(",")]
    os.environ["OMP_NUM_THREADS"] = "1"  # the workers read it when they load the teacher
    with ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool:
        jobs = [
            pool.submit(
                trajectory, molecule, arguments.teacher, t, r, arguments.frames, arguments.seed
            )
            for t in temperatures
            for r in range(arguments.replicas)
        ]
        frames = [frame for job in jobs for frame in job.result()]
    ase.io.write(arguments.out, frames, format="extxyz")
    print(f"{len(frames)} frames in {arguments.out}")


if __name__ == "__main__":
    main()
