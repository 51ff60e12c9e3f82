"""A student that holds a liquid: MD of it, clusters cut out of that, their labels, training.

The teacher sees a molecule among its nearest neighbours, in vacuum. Each round's MD is that of the
last round's student. Then constant pressure, in examples/lammps/liquid:
    mpiexec -n 2 lmp -in in.lammps -var student FOLDER/student.safetensors -var steps 100000
"""

import argparse
import shutil
from pathlib import Path

from distill.data import Sampling, label
from distill.data.liquid import clusters_of
from distill.teacher import TeacherSpec
from distill.train.config import LEARNING_RATES, TrainConfig
from distill.train.from_datasets import train_from_datasets
from distill_ase import StudentCalculator
from distill_lammps.data import liquid

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--smiles", default="CO")
parser.add_argument("--size", default="tiny", help="original, tiny or ultra-tiny")
parser.add_argument("--molecules", type=int, default=32, help="in the box")
parser.add_argument("--densities", type=float, nargs="+", default=[0.2, 0.4, 0.6, 0.8, 1.0])
parser.add_argument("--frames", type=int, default=60, help="clusters at each density")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--minutes", type=float, default=5.0, help="training time of a round")
parser.add_argument("-o", "--out", type=Path, default=Path("liquid"))


def main() -> None:
    """Sample, label, train; again."""
    options = parser.parse_args()
    box = liquid(options.smiles, options.molecules, options.densities[0])
    student, data = options.size, []
    for k in range(options.rounds):
        clusters = clusters_of(
            StudentCalculator(student), box, options.molecules, options.densities,
            name=f"{options.smiles} liquid, round {k}", frames=options.frames, seed=k,
        )  # fmt: skip
        print(f"round {k}: {len(clusters.positions)} clusters of {len(clusters)} atoms")
        data.append(options.out / f"clusters-{k}.h5")
        label([(clusters, Sampling(frames=0))], TeacherSpec(), data[-1])
        folder = options.out / f"round-{k}"
        config = TrainConfig(
            minutes=options.minutes, learning_rate=0.5 * LEARNING_RATES[options.size]
        )
        train_from_datasets(data, folder, config, size=options.size, start=student)
        student = str(folder / "student.safetensors")
    shutil.copy(student, options.out)


if __name__ == "__main__":  # labelling starts processes, which import this file
    main()
