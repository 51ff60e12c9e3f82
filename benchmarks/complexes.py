"""Guests in their hosts by `distill md`: p-xylene in T4 lysozyme L99A, B2 in CB7, for each size.

    python benchmarks/complexes.py -o build/complexes --ps 20

The files come from the package openmmtools. A run that is there already is not made again. Prints
a table: atoms, ns/day, temperatures of guest and surroundings, density, the guest's longest way
from where it was (RMSD of its heavy atoms to the first frame, the host's heavy atoms on top of each
other), frames unlike the training set.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import mdtraj
import numpy as np

SPEC = importlib.util.find_spec("openmmtools")
assert SPEC is not None and SPEC.submodule_search_locations
DATA = Path(SPEC.submodule_search_locations[0]) / "data"
LYSOZYME, CB7 = DATA / "T4-lysozyme-L99A-implicit", DATA / "cb7-b2"
CASES = {
    "p-xylene in T4 lysozyme, OBC2": [
        "--complex", LYSOZYME / "complex.pdb", "--ligand", "Cc1ccc(C)cc1", "--solvent", "obc2",
    ],
    "p-xylene in T4 lysozyme, TIP3P": [
        "--complex", LYSOZYME / "complex.pdb", "--ligand", "Cc1ccc(C)cc1", "--padding", "8",
    ],
    "B2 in CB7, TIP3P": [
        "--prmtop", CB7 / "complex-explicit.prmtop", "--inpcrd", CB7 / "complex-explicit.inpcrd",
        "--ml", "B2",
    ],
}  # fmt: skip
SIZES = ("ultra-tiny", "tiny", "original")


def folder_of(out: Path, name: str, size: str) -> Path:
    """Where a run goes."""
    return out / f"{name.replace(' ', '-').replace(',', '')}-{size}"


def wander(folder: Path, guest: list[int]) -> float:
    """The guest's largest RMSD to the first frame, in Å, the host being superposed."""
    frames = mdtraj.load(folder / "trajectory.dcd", top=str(folder / "topology.pdb"))
    heavy = frames.topology.select("not water and element != H")
    host = np.setdiff1d(heavy, guest)
    frames.superpose(frames, 0, atom_indices=host)
    chosen = np.intersect1d(heavy, guest)
    away = frames.xyz[:, chosen] - frames.xyz[:1, chosen]
    return float(10.0 * np.sqrt((away**2).sum(-1).mean(-1)).max())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--ps", type=float, default=20.0)
    parser.add_argument("--sizes", nargs="+", default=SIZES)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    arguments = parser.parse_args()
    distill = Path(sys.executable).parent / "distill"
    print(
        "| guest and surroundings | size | atoms | ns/day | guest (K) | rest (K) | density "
        "(g/cm3) | moved (Å) | unlike |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for name, words in CASES.items():
        for size in arguments.sizes if arguments.only in name else ():
            folder = folder_of(arguments.out, name, size)
            subprocess.run(
                [distill, "md", size, *map(str, words), "--ps", f"{arguments.ps:g}", "-o", folder],
                check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            found = json.loads((folder / "md.json").read_text())
            guest = found["student_indices"]
            density = found.get("density_g_per_cm3")
            print(
                f"| {name} | `{size}` | {found['atoms']:,} | {found['ns_per_day']:.2f} | "
                f"{found['ligand_temperature']:.0f} | {found['rest_temperature']:.0f} | "
                f"{'' if density is None else f'{density:.3f}'} | {wander(folder, guest):.1f} | "
                f"{found.get('frames_unlike_training', '')} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
