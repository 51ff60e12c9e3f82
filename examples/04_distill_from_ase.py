"""Distil from any ASE calculator.

Here IPEA1-xTB teaches, which `distill` does not know by name. The same on the command line:
    distill label CCO -o data.h5 --teacher ase:tblite.ase:TBLite \
        --teacher-option method=IPEA1-xTB --teacher-option verbosity=0
    distill train data.h5 -o student --size tiny --minutes 3
"""

import argparse
from pathlib import Path

from ase.calculators.calculator import Calculator
from tblite.ase import TBLite

from distill.data import Sampling, chunks, from_smiles, label, sample
from distill.teacher import TeacherSpec
from distill.train.config import LEARNING_RATES, TrainConfig
from distill.train.from_datasets import train_from_datasets
from distill_ase import StudentCalculator

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--smiles", default="CCO")
parser.add_argument("--frames", type=int, default=500, help="geometries to label")
parser.add_argument("--minutes", type=float, default=3.0, help="training time")
parser.add_argument("--size", default="tiny", help="original, tiny or ultra-tiny")
parser.add_argument("-o", "--out", type=Path, default=Path("from-ase"))


def compare(calculators: dict[str, Calculator], smiles: str) -> None:
    """Energies against the first geometry's, and the largest force component."""
    molecule = from_smiles(smiles)
    zero: dict[str, float] = {}
    for frame in sample(molecule, Sampling(frames=4, temperatures=(300.0,), seed=99)):
        for name, calculator in calculators.items():
            atoms = molecule.atoms(frame.positions)
            atoms.calc = calculator
            energy = atoms.get_potential_energy()
            relative = energy - zero.setdefault(name, energy)
            print(f"{name:8} {relative:8.4f} eV   {abs(atoms.get_forces()).max():7.4f} eV/Å")


def main() -> None:
    """Label, train, compare."""
    arguments = parser.parse_args()
    # a teacher is given as a recipe, so that each labelling process can make its own
    options = {"method": "IPEA1-xTB", "verbosity": "0"}
    teacher = TeacherSpec("ase:tblite.ase:TBLite", options=options)
    tasks = chunks(from_smiles(arguments.smiles), Sampling(frames=arguments.frames))
    data = arguments.out / "data.h5"
    label(tasks, teacher, data)  # run again, it goes on or finds all done

    config = TrainConfig(minutes=arguments.minutes, learning_rate=LEARNING_RATES[arguments.size])
    student = train_from_datasets([data], arguments.out / "student", config, size=arguments.size)
    print(f"held out: force RMSE {student.card['held_out']['force_rmse']:.4f} eV/Å")
    teacher_itself = TBLite(method="IPEA1-xTB", verbosity=0)
    compare({"teacher": teacher_itself, "student": StudentCalculator(student)}, arguments.smiles)


if __name__ == "__main__":  # labelling starts processes, which import this file
    main()
