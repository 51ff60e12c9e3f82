"""The same MACE in Symmetrix-XL, which runs it in C++ made for the model at hand.

Variants: ``avx2`` (the backend in the package), ``avx512`` (a backend of its own on PyPI).
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import common
import peer_mace

BACKENDS = {"avx2": "cpu", "avx512": "cpu-avx512"}


def build(variant: str, threads: int) -> common.Potential:
    """The calculator of Symmetrix-XL's own; torch is not loaded into this process."""
    os.environ["SYMMETRIX_BACKEND"] = BACKENDS[variant]
    # what Kokkos, on which it is built, asks for
    os.environ["OMP_PROC_BIND"], os.environ["OMP_PLACES"] = "spread", "threads"
    # without a copy of what it generates, it would be compiled anew in every process
    cache = Path(sys.prefix) / "symmetrix-jit"
    cache.mkdir(mode=0o700, exist_ok=True)
    os.environ["SYMMETRIX_JIT_CACHE"] = str(cache)

    with tempfile.TemporaryDirectory() as name:
        file, model = Path(name) / "mace.model", Path(name) / "mace.json"
        here = Path(__file__).parent
        save = "import pathlib, sys, peer_mace; peer_mace.save(pathlib.Path(sys.argv[1]))"
        run([sys.executable, "-c", save, str(file)], here)
        extract = str(Path(sys.executable).with_name("symmetrix_extract_mace"))
        run([extract, "--model", str(file), "--output", str(model)], here)
        from symmetrix import Symmetrix

        calculator = Symmetrix(str(model), dtype="float32", execution_profile="speed")
    atoms = common.ase_atoms()
    atoms.center(10.0)  # its neighbour list wants a cell also where nothing is periodic
    packages = ["symmetrix-xl"] + ["symmetrix-xl-cpu-avx512"] * (variant == "avx512")
    return common.Potential(
        common.through_ase(calculator, atoms),
        through="Symmetrix-XL's ASE calculator",
        packages=tuple(packages),
        model=peer_mace.MODEL,
        weights="random",
        note="profile 'speed'; neighbour list with a skin of 0.5 Å; computes the stress too",
        parameters=694320,
    )


def run(command: list[str], folder: Path) -> None:
    """A step of the conversion; ValueError with its last words when it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["no message"]
        raise ValueError(f"the conversion of the model failed ({words[-1]})")


if __name__ == "__main__":
    common.main(build)
