"""What every peer's script shares: the molecule, the threads, and the timing.

Python's standard library and numpy only, so that it imports in every peer's environment.
"""

import argparse
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOLECULE = Path(__file__).with_name("loratadine.mol")
GEOMETRIES = 64
DISPLACEMENT = 0.02  # Å; about what atoms do in a few steps of MD
WARM_UP = 20
LEAST = 5  # calls that are timed even when they take longer than the time allowed
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS",
)  # fmt: skip

Array = NDArray[np.float64]
Call = Callable[[Array], tuple[float, Array]]


@dataclass
class Potential:
    """What a peer's script builds.

    call: takes positions (N, 3) in Å and returns the energy and the forces, in the peer's units.
    through: the interface that is timed. packages: whose versions go into the row.
    """

    call: Call
    through: str
    packages: tuple[str, ...]
    model: str = ""
    weights: str = ""
    note: str = ""
    parameters: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def molecule() -> tuple[list[str], Array]:
    """Chemical symbols and positions in Å of the molecule that all peers get."""
    lines = MOLECULE.read_text().splitlines()
    atoms = [line.split() for line in lines[4 : 4 + int(lines[3][:3])]]
    return [a[3] for a in atoms], np.array([[float(x) for x in a[:3]] for a in atoms])


def ase_atoms() -> Any:
    """The molecule for ASE, in vacuum."""
    from ase import Atoms

    symbols, positions = molecule()
    return Atoms(symbols, positions=positions)


def through_ase(calculator: Any, atoms: Any = None) -> Call:
    """Energy and forces from an ASE calculator in one evaluation.

    Its ``calculate`` is called directly: some calculators, asked for forces and then for the
    energy, compute twice.
    """
    atoms = ase_atoms() if atoms is None else atoms
    changes: list[str] = ["positions", "numbers", "cell", "pbc"]

    def call(positions: Array) -> tuple[float, Array]:
        nonlocal changes
        atoms.positions[:] = positions
        calculator.calculate(atoms, ["energy", "forces"], changes)
        changes = ["positions"]
        return calculator.results["energy"], calculator.results["forces"]

    return call


def set_torch_threads(threads: int) -> None:
    """One pool of that many threads in torch."""
    import torch

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)


def own_cores(count: int) -> list[int]:
    """``count`` CPUs that this process may use, no two on one core if there are enough cores."""
    allowed = sorted(os.sched_getaffinity(0))
    chosen: list[int] = []
    seen: set[str] = set()
    for cpu in allowed:
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        siblings = topology.read_text().strip() if topology.exists() else str(cpu)
        if siblings not in seen:
            seen.add(siblings)
            chosen.append(cpu)
    chosen += [cpu for cpu in allowed if cpu not in chosen]
    return chosen[:count]


def time_it(call: Call, repeats: int, seconds: float) -> dict[str, Any]:
    """Milliseconds of single calls, each with positions that the last call did not have.

    Stops at ``repeats`` calls or after ``seconds``, whichever comes first.
    """
    _, start = molecule()
    rng = np.random.default_rng(0)
    # without rounding to zero: two geometries of the list are never the same
    geometries = start + rng.normal(0.0, DISPLACEMENT, (GEOMETRIES, *start.shape))
    started = time.perf_counter()
    energy, forces = call(geometries[-1])
    first = time.perf_counter() - started
    check(float(np.asarray(energy)), np.asarray(forces, dtype=float), len(start))
    for k in range(WARM_UP):
        call(geometries[k % GEOMETRIES])
        if k >= 3 and time.perf_counter() - started > first + seconds:
            break
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < repeats:
        positions = geometries[(WARM_UP + len(times)) % GEOMETRIES]
        before = time.perf_counter()
        call(positions)
        after = time.perf_counter()
        times.append(1000 * (after - before))
        if after - began > seconds and len(times) >= LEAST:
            break
    return {
        "median_ms": statistics.median(times), "min_ms": min(times), "max_ms": max(times),
        "repeats": len(times), "first_call_s": first,
    }  # fmt: skip


def check(energy: float, forces: Array, atoms: int) -> None:
    """Raises ValueError for an answer that is none."""
    if forces.shape != (atoms, 3):
        raise ValueError(f"the forces have the shape {forces.shape}, not ({atoms}, 3)")
    if not (np.isfinite(energy) and np.isfinite(forces).all()):
        raise ValueError("the energy or the forces are not finite")
    if not np.abs(forces).max() > 0:
        raise ValueError("the forces are zero")


def main(build: Callable[[str, int], Potential]) -> None:
    """Command line of a peer's script: prints one line of JSON.

    build: takes the variant's name and the number of threads.
    """
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("variant")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0, help="stop timing after so long")
    arguments = parser.parse_args()
    for variable in THREAD_VARIABLES:  # before torch and OpenBLAS look at them
        os.environ[variable] = str(arguments.threads)
    if hasattr(os, "sched_setaffinity"):
        # so that "one thread" is one core also where a peer takes no notice of the variables
        os.sched_setaffinity(0, own_cores(arguments.threads))
    # libraries write to the standard output, native ones past sys.stdout
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    row: dict[str, Any]
    try:
        potential = build(arguments.variant, arguments.threads)
        row = time_it(potential.call, arguments.repeats, arguments.seconds)
        row |= {
            "through": potential.through,
            "model": potential.model,
            "weights": potential.weights,
            "note": potential.note,
            "parameters": potential.parameters,
            "versions": {name: version(name) for name in potential.packages},
            **potential.extra,
        }
    except Exception as error:  # whatever a peer raises: its row says so, and the others go on
        row = {"error": one_sentence(error)}
    print(json.dumps(row), file=answer, flush=True)
    # some native libraries crash while the process ends, when all that counts has been printed
    os._exit(0)


def one_sentence(error: BaseException) -> str:
    """The first line of an exception, with its type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text[:200].rstrip(".") + "."


def count(module: Any) -> int:
    """Parameters of a torch module."""
    return sum(p.numel() for p in module.parameters())
