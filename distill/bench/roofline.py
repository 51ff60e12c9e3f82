"""What the machine could do at best: the work of a student, counted, over measured peaks."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from distill.student.config import StudentConfig


def dense_products(config: StudentConfig) -> int:
    """Multiplications of the dense layers for one atom, forward.

    The first message's network is not among them: it is a table of elements in the kernel.
    """
    f, total = config.hidden, 0
    for k in range(config.layers):
        out = 3 if k + 1 < config.layers else 2
        total += (f * f + 3 * f * f) if k else 0
        total += 3 * 2 * f * f + f * f + out * f * f // 2
    return total + f * f // 2 + f // 2


def flops_per_atom(config: StudentConfig, neighbours: float) -> float:
    """Additions and multiplications for energy and forces of one atom with so many neighbours.

    Dense layers twice (forward, and the gradient by their inputs); of each pair, counted once for
    both directions: filters by six spline coefficients, both messages, and their derivatives.
    """
    pair = 0
    for k in range(config.layers):
        parts = 3 if k else 2
        forward = 11 * parts + 4 + 14 + (14 if k else 0)
        backward = 22 * parts + 10 + 3 + 3 + 2 * parts + 15 + (12 + 3 + 12 + 2 + 12 if k else 0)
        pair += forward + backward
    return 4.0 * dense_products(config) + 0.5 * neighbours * pair * config.hidden


def bytes_per_atom(config: StudentConfig, item: int = 4) -> float:
    """What is written on the way forward and read on the way back, and the gradients' arrays."""
    f, numbers = config.hidden, 0.0
    for k in range(config.layers):
        out = 3 if k + 1 < config.layers else 2
        kept = 3 + 2 + 6 + 0.5 + out + (7 if k else 0)  # features; see csrc/work.h
        numbers += 2 * kept * f
    return item * (numbers + 2 * 15 * f)


def cache_bytes() -> int:
    """The last cache level of a core, or 32 MB where the system does not say."""
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = path.read_text().strip()
        sizes.append(int(text[:-1]) * {"K": 1024, "M": 1024**2}.get(text[-1], 1))
    return max(sizes, default=32 * 1024**2)


def best_rate(work: Callable[[], object], amount: float, seconds: float = 1.0) -> float:
    """amount / the shortest time of ``work``, tried for so many seconds."""
    work()
    least, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        work()
        least = min(least, time.perf_counter() - started)
    return amount / least


def peaks(seconds: float = 1.0) -> dict[str, float]:
    """One thread: flop/s of a float32 matrix product (1,024^3), bytes/s of a triad a = b + s c."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        n = 1024
        a, b, out = torch.rand(n, n), torch.rand(n, n), torch.empty(n, n)
        flops = best_rate(lambda: torch.mm(a, b, out=out), 2.0 * n**3, seconds)
        # each of the three is almost three times the cache
        x, y, z = (np.ones(max(cache_bytes() // 3, 4_000_000)) for _ in range(3))

        def triad() -> None:
            np.multiply(z, 3.0, out=x)
            np.add(x, y, out=x)

        # both passes: read z, write x; read x and y, write x
        band = best_rate(triad, 5.0 * x.nbytes, seconds)
    finally:
        torch.set_num_threads(threads)
    return {"gemm_gflops": flops / 1e9, "triad_gb_per_s": band / 1e9}


def least_ms(
    config: StudentConfig, n_atoms: int, neighbours: float, peak: dict[str, float], threads: int
) -> float:
    """Milliseconds that an evaluation takes at least.

    Memory counts only where the arrays do not fit into the last cache.
    """
    compute = n_atoms * flops_per_atom(config, neighbours) / (peak["gemm_gflops"] * 1e9 * threads)
    size = n_atoms * bytes_per_atom(config)
    memory = size / (peak["triad_gb_per_s"] * 1e9) if 0.5 * size > cache_bytes() else 0.0
    return 1000.0 * max(compute, memory)
