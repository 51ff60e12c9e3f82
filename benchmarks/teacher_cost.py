"""What does a label of any teacher cost, and does the teacher do what a student needs?

    python benchmarks/teacher_cost.py --teacher ase:chgnet.model.dynamics:CHGNetCalculator \
        --teacher-option periodic-box=20

For each SMILES (ethanol and paracetamol without one) it prints the milliseconds of a label (the
first, which may load or compile, and the median of the others), how far a force is from the slope
of the energy, and for --ions whether a charge changes the energy. One process, one thread where
OMP_NUM_THREADS=1. `dft_cost.py` is for DFT, whose labels take longer.
"""

import argparse
import time
import warnings

import numpy as np
import torch

from distill.arguments import key_values
from distill.charge import charge_of
from distill.data.explore import first_geometries
from distill.data.molecules import from_smiles
from distill.evaluate.report import provenance
from distill.teacher import load_teacher
from distill.teacher.base import Label, Teacher

MOLECULES = {"ethanol": "CCO", "paracetamol": "CC(=O)Nc1ccc(O)cc1"}
DISPLACED = 0.03
"""In Å, each coordinate: about what MD moves within some femtoseconds at 300 K."""
STEP = 0.005
"""Å, of the slope."""


def label(teacher: Teacher, atoms) -> tuple[Label, float]:
    """The label and its seconds; one that fails ends the run with its reason."""
    began = time.perf_counter()
    (found,) = teacher.label([atoms])
    seconds = time.perf_counter() - began
    if found.error:
        raise SystemExit(found.error)
    return found, seconds


def main() -> None:
    """Prints a line for each molecule."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("smiles", nargs="*")
    parser.add_argument("--teacher", default="gfn2-xtb")
    parser.add_argument("--teacher-option", action="append", default=[])
    parser.add_argument("--labels", type=int, default=20)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    teacher = load_teacher(given.teacher, options=key_values(given.teacher_option))
    about = provenance()
    print(f"{given.teacher} {' '.join(given.teacher_option)}: {teacher.version}, {about['date']}, ")
    print(f"{about['machine']['cpu']}, torch {about['versions']['torch']}, 1 thread")
    for name, smiles in ({s: s for s in given.smiles} or MOLECULES).items():
        molecule = from_smiles(smiles)
        start = first_geometries(molecule, 1, 0)[0]
        rng = np.random.default_rng(0)
        frames = [start + rng.normal(0, DISPLACED, start.shape) for _ in range(given.labels)]
        labels = [label(teacher, molecule.atoms(x)) for x in frames]
        times = [1e3 * seconds for _, seconds in labels]
        way = rng.normal(0, 1, start.shape)
        way /= np.linalg.norm(way)
        up, down = (
            label(teacher, molecule.atoms(frames[0] + s * way))[0].energy for s in (STEP, -STEP)
        )
        slope = -(up - down) / (2 * STEP)
        force = float((labels[0][0].forces * way).sum())
        print(
            f"{name} ({len(molecule)} atoms): {times[0]:.0f} ms, then {np.median(times[1:]):.0f} ms"
            f" a label; force along a line {force:.4f}, slope of the energy {slope:.4f} eV/Å"
        )
    atoms = from_smiles("CCO").atoms(first_geometries(from_smiles("CCO"), 1, 0)[0])
    cation = atoms.copy()
    cation.info.update(charge=charge_of(atoms) or 0, spin=1)
    neutral = label(teacher, cation)[0].energy
    cation.info.update(charge=1, spin=2)
    (charged,) = teacher.label([cation])
    told = charged.error or f"{charged.energy - neutral:.3f} eV"
    print(f"ethanol without an electron: {told}")


if __name__ == "__main__":
    main()
