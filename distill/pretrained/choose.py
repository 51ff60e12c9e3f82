"""Chooses what to label next: ``python -m distill.pretrained.choose A B SOURCE... -o hard.smi``.

Of the sources' molecules, those with the atom on whose force two students disagree most (query by
committee: Seung, Opper, Sompolinsky, COLT 1992; for potentials Smith, Nebgen, Lubbers, Isayev,
Roitberg, J. Chem. Phys. 148, 241733 (2018)).
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from distill.data.explore import first_geometries
from distill.data.molecules import Molecule, read_molecules
from distill.errors import DistillError
from distill.student import Student, load_student
from distill.student.neighbours import neighbour_list


def disagreement(students: tuple[str, str], molecule: Molecule) -> float:
    """The largest difference of an atom's force (eV/Å) at a geometry of the force field's."""
    try:
        (positions,) = first_geometries(molecule, 1, 0)
        first, second = (forces(load(name), molecule, positions) for name in students)
    except DistillError:  # no conformer, or an element that they do not know
        return 0.0
    return float(np.linalg.norm(first - second, axis=1).max())


@cache
def load(name: str) -> Student:
    """A student by its name or path, once a process."""
    torch.set_num_threads(1)
    return load_student(name)


def forces(student: Student, molecule: Molecule, positions: np.ndarray) -> np.ndarray:
    """(N, 3) in eV/Å."""
    edges, shift = neighbour_list(positions, None, False, student.cutoff)
    arrays = (positions, molecule.numbers, edges, shift)
    return student.evaluate(*(torch.from_numpy(array) for array in arrays))[1].numpy()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("students", nargs=2, metavar="STUDENT")
    parser.add_argument("source", nargs="+", help="what `distill label` takes: recombined:train")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a .smi file")
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--workers", type=int)
    arguments = parser.parse_args()
    pool = {m.smiles: m for source in arguments.source for m in read_molecules(source) if m.smiles}
    judge = partial(disagreement, tuple(arguments.students))
    with ProcessPoolExecutor(arguments.workers, get_context("spawn")) as workers:
        differences = workers.map(judge, pool.values(), chunksize=20)
        found = sorted(zip(differences, pool), reverse=True)
    chosen = [(by, smiles) for by, smiles in found[: arguments.count] if by > 0]
    arguments.out.write_text("".join(f"{smiles}\n" for _, smiles in chosen))
    print(f"{len(chosen)} of {len(pool)}; they disagree by {chosen[-1][0]:.2f} eV/Å or more")


if __name__ == "__main__":
    main()
