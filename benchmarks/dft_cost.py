"""What does a label by DFT cost? Seconds for each of a few labels of a molecule.

    python benchmarks/dft_cost.py [SMILES ...] [--teacher pyscf:r2scan-d4/def2-svp] [--labels 3]

Without a SMILES ethanol and paracetamol. The first label starts the SCF from atoms, the others
from the density of the one before, as in labelling. One thread, unless --threads says more.
"""

import argparse
import platform
import time

import numpy as np

from distill.data.explore import first_geometries
from distill.data.molecules import from_smiles
from distill.teacher import load_teacher

MOLECULES = {"ethanol": "CCO", "paracetamol": "CC(=O)Nc1ccc(O)cc1"}
DISPLACED = 0.03
"""In Å, each coordinate: about what MD moves within some femtoseconds at 300 K."""


def seconds(teacher: str, smiles: str, labels: int, threads: int) -> tuple[int, list[float]]:
    """The number of atoms, and the seconds that each label took.

    A label that fails ends the run with its reason.
    """
    molecule = from_smiles(smiles)
    start = first_geometries(molecule, 1, 0)[0]
    rng = np.random.default_rng(0)
    loaded = load_teacher(teacher, options={"threads": str(threads)})
    times = []
    for _ in range(labels):
        atoms = molecule.atoms(start + rng.normal(0.0, DISPLACED, start.shape))
        began = time.perf_counter()
        (label,) = loaded.label([atoms])
        times.append(time.perf_counter() - began)
        if label.error:
            raise SystemExit(f"{smiles}: {label.error}")
    return len(molecule), times


def main() -> None:
    """Prints a line for each molecule."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("smiles", nargs="*")
    parser.add_argument("--teacher", default="pyscf:r2scan-d4/def2-svp")
    parser.add_argument("--labels", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    print(
        f"{given.teacher}, {given.threads} thread(s), {platform.processor() or platform.machine()}"
    )
    for name, smiles in ({s: s for s in given.smiles} or MOLECULES).items():
        atoms, times = seconds(given.teacher, smiles, given.labels, given.threads)
        print(f"{name} ({atoms} atoms): {' '.join(f'{t:.1f}' for t in times)} s", flush=True)


if __name__ == "__main__":
    main()
