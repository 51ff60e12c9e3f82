"""What do two threads gain? One and two in turn, so that the machine's moods weigh on both alike.

    python benchmarks/threads.py [--atoms 1080 5000 20000] [--rounds 15]

Prints for each size the time per atom with one and with two threads, and the median and quartiles
of their ratio, the kernel alone, in a periodic box of methanol.
"""

import argparse
import time

import numpy as np

from distill import load_student
from distill.bench.systems import system
from distill.evaluate.report import provenance
from distill.kernels import KernelStudent
from distill.student import SIZES

SECONDS = 0.1
"""Of each measurement."""


def ratios(size: str, n_atoms: int, rounds: int) -> str:
    """A line of the table."""
    atoms, student = system(n_atoms), load_student(size)
    arguments = atoms.positions, atoms.numbers, atoms.cell.array, atoms.pbc
    kernels = [KernelStudent(student, threads=threads) for threads in (1, 2)]

    def seconds(kernel: KernelStudent, calls: int) -> float:
        started = time.perf_counter()
        for _ in range(calls):
            kernel.evaluate(*arguments)
        return (time.perf_counter() - started) / calls

    for kernel in kernels:
        seconds(kernel, 2)
    calls = max(2, int(SECONDS / seconds(kernels[0], 1)))
    found = np.array([[seconds(kernel, calls) for kernel in kernels] for _ in range(rounds)])
    one, two = np.median(found, axis=0) * 1e6 / len(atoms)
    low, middle, high = np.quantile(found[:, 0] / found[:, 1], [0.25, 0.5, 0.75])
    return (
        f"{size:10s} {len(atoms):6,d} atoms: {one:6.2f} and {two:6.2f} us/atom, "
        f"ratio {middle:.2f} ({low:.2f} to {high:.2f})"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--atoms", type=int, nargs="+", default=[1080, 5000, 20000])
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    place = provenance()
    print({key: place[key] for key in ("date", "machine")})
    for n_atoms in arguments.atoms:
        for size in SIZES:
            print(ratios(size, n_atoms, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
