"""What are teachers themselves good for? Their forces against DFT, on small fragments of drugs.

    python benchmarks/teachers_against_dft.py [--teacher gfn2-xtb ...] [--frames 1]

A geometry is of a force field's MD at 300 K. The reference is r2SCAN-D4/def2-TZVP by PySCF (about
a minute a geometry on one core). Errors are root mean squares over force components, in eV/Å.
"""

import argparse
import platform
import time

import numpy as np

from distill.data.molecules import from_smiles
from distill.data.sampling import Sampling, sample
from distill.evaluate.report import provenance
from distill.teacher import load_teacher

FRAGMENTS = {
    "ethanol": "CCO",
    "acetamide": "CC(N)=O",
    "acetic acid": "CC(=O)O",
    "dimethylamine": "CNC",
    "imidazole": "c1c[nH]cn1",
    "furan": "c1ccoc1",
    "acetonitrile": "CC#N",
    "methanethiol": "CS",
    "chloroethene": "C=CCl",
}


def forces(teacher: str, molecule, frames) -> np.ndarray:
    """(M, N, 3); a label that fails ends the run."""
    loaded = load_teacher(teacher)
    labels = loaded.label([molecule.atoms(np.asarray(f.positions, float)) for f in frames])
    failed = [label.error for label in labels if label.error]
    if failed:
        raise SystemExit(failed[0])
    return np.array([label.forces for label in labels])


def main() -> None:
    """Prints a line for each fragment, and one for all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--teacher", action="append", help="May be repeated.")
    parser.add_argument("--reference", default="pyscf:r2scan-d4/def2-tzvp")
    parser.add_argument("--frames", type=int, default=1)
    parser.add_argument("--molecules", type=int, default=len(FRAGMENTS))
    given = parser.parse_args()
    teachers = given.teacher or ["gfn2-xtb", "gfn1-xtb"]
    about = provenance()
    print(f"{about['date']}, {about['machine']['cpu']}, Python {platform.python_version()}")
    print(f"{given.reference} | {' | '.join(teachers)} | size of the forces | s a reference label")
    errors: dict[str, list[np.ndarray]] = {name: [] for name in teachers}
    sampling = Sampling(frames=given.frames, temperatures=(300.0,), displaced=0.0)
    for name, smiles in list(FRAGMENTS.items())[: given.molecules]:
        molecule = from_smiles(smiles)
        frames = sample(molecule, sampling)
        began = time.perf_counter()
        reference = forces(given.reference, molecule, frames)
        seconds = (time.perf_counter() - began) / len(frames)
        for teacher in teachers:
            errors[teacher].append((forces(teacher, molecule, frames) - reference).reshape(-1))
        row = " | ".join(f"{_rms(errors[teacher][-1]):.3f}" for teacher in teachers)
        print(f"{name} | {row} | {_rms(reference):.2f} | {seconds:.0f}", flush=True)
    row = " | ".join(f"{_rms(np.concatenate(errors[teacher])):.3f}" for teacher in teachers)
    print(f"all | {row}")


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt((x**2).mean()))


if __name__ == "__main__":
    main()
