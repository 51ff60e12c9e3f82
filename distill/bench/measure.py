"""Measuring cases, each in a process of its own, so that its peak memory is its own."""

import multiprocessing
import re
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.bench.engines import Case, make
from distill.bench.roofline import least_ms
from distill.bench.systems import system
from distill.errors import DistillError
from distill.kernels import choose_backend
from distill.student.file import load_student
from distill.student.neighbours import neighbour_list

ROUNDS = 7
BACKENDS = {"torch": "torch", "torchscript": "torchscript"}
NO_DEVICE = "not measured: no device"


def measure(case: Case, peak: dict[str, float], seconds: float) -> dict[str, Any]:
    """One row: ms/step (median, least, most of ROUNDS rounds), ns/day at 1 fs, peak memory.

    seconds: about how long the rounds take together.
    """
    row: dict[str, Any] = {**vars(case), "backend": BACKENDS.get(case.engine, "auto")}
    row["precision"] = row.pop("dtype")
    if case.device != "cpu" and not torch.cuda.is_available():
        return {**row, "note": NO_DEVICE}
    torch.set_num_threads(case.threads)
    atoms = system(case.atoms)
    student = load_student(case.size)
    config = student.config
    row["atoms"] = len(atoms)
    if row["backend"] == "auto":
        row["backend"] = choose_backend("auto", case.device)
    try:
        run = make(case, student, atoms)
    except DistillError as error:
        return {**row, "note": str(error)}
    run(3)
    started = time.perf_counter()
    run(2)
    estimate = (time.perf_counter() - started) / 2
    steps = max(1, round(seconds / ROUNDS / estimate))
    run(min(steps, 20))
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        run(steps)
        rounds.append(1000.0 * (time.perf_counter() - started) / steps)
    ms = float(np.median(rounds))
    row |= {
        "ms_per_step": ms,
        "least": min(rounds),
        "most": max(rounds),
        "ns_per_day": 86.4 / ms,
        "atom_steps_per_s": 1000.0 * len(atoms) / ms,
        "peak_memory_mb": peak_memory_mb(),
    }
    if case.engine == "kernel" and case.dtype == "float32":
        edges, _ = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, student.cutoff)
        least = least_ms(config, len(atoms), edges.shape[1] / len(atoms), peak, case.threads)
        row["roofline_ms"], row["times_roofline"] = least, ms / least
    return row


def peak_memory_mb() -> float:
    """Of this process so far."""
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux a child's ru_maxrss starts at its parent's
        return float(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024  # type: ignore[index]
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measure_apart(case: Case, peak: dict[str, float], seconds: float) -> dict[str, Any]:
    """The same in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, case, peak, seconds).result()
