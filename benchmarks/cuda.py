"""How fast, and how right, are the Triton kernels on this GPU? See docs/cuda.md.

    python benchmarks/cuda.py -o cuda.json [--size tiny] [--atoms 50 1000] [--profile]

The step is a CUDA graph on the device, without an engine and without making neighbour lists, whose
lists have a skin of 1 Å; `distill bench --device cuda` measures with both. Medians of several
rounds. Forces are compared with those of the student in float64. --profile prints the kernels'
shares and nothing is written.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from rich.console import Console
from rich.table import Table

from distill import load_student
from distill.bench.systems import system
from distill.evaluate.report import provenance
from distill.kernels.cuda import CudaStudent, GraphedStudent
from distill.student import SIZES
from distill.student.neighbours import neighbour_list

ATOMS = (20, 50, 1000, 10_000, 100_000)
PRECISIONS = ("ieee", "tf32x3")
COMPARED = 10_000
"""Atoms, at most, whose forces are compared: float64 through torch takes 1 MB each."""
ROUNDS = 7
SKIN = 1.0


def on_device(atoms: Atoms, reach: float) -> tuple[torch.Tensor, ...]:
    """Positions, numbers, edges and shifts."""
    edges, shift = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, reach)
    arrays = (atoms.positions, atoms.numbers, edges, shift)
    return tuple(torch.tensor(array, device="cuda") for array in arrays)


def prepared(size: str, atoms: Atoms, precision: str) -> tuple[GraphedStudent, torch.Tensor, int]:
    """A graph that has its edges, the positions to evaluate, and how many edges there are."""
    student = load_student(size)
    positions, numbers, edges, shift = on_device(atoms, student.cutoff + SKIN)
    graph = GraphedStudent(CudaStudent(student, precision=precision), numbers, edges.shape[1])
    graph.set_edges(edges, shift, by_centre=True)
    return graph, positions, edges.shape[1]


def microseconds(graph: GraphedStudent, positions: torch.Tensor) -> list[float]:
    """A step's, round by round."""

    def steps(count: int) -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(count):
            graph.evaluate(positions)
        end.record()
        torch.cuda.synchronize()
        return 1000.0 * begin.elapsed_time(end) / count

    steps(5)
    count = max(5, int(50_000 / steps(5)))  # a twentieth of a second
    return [steps(count) for _ in range(ROUNDS)]


def measure(size: str, atoms: Atoms, precision: str, exact: torch.Tensor | None) -> dict[str, Any]:
    """One row. exact: the forces in float64."""
    graph, positions, edges = prepared(size, atoms, precision)
    forces = graph.evaluate(positions)[1].clone()
    again = graph.evaluate(positions)[1]
    rounds = microseconds(graph, positions)
    us = float(np.median(rounds))
    return {
        "size": size, "atoms": len(atoms), "edges": edges, "precision": precision,
        "us_per_step": us, "least": min(rounds), "most": max(rounds),
        "ns_per_day_at_1_fs": 86_400.0 / us, "atom_steps_per_s": 1e6 * len(atoms) / us,
        "same_twice": bool(torch.equal(forces, again)),
        "largest_force_difference": None if exact is None else float((forces - exact).abs().max()),
    }  # fmt: skip


def exact_forces(size: str, atoms: Atoms) -> torch.Tensor:
    """Of the student in float64, through torch, on the GPU."""
    student = load_student(size, dtype=torch.float64).to("cuda")
    return student.evaluate(*on_device(atoms, student.cutoff))[1]


def profile(size: str, atoms: Atoms, precision: str) -> str:
    """The kernels by the time that they take."""
    graph, positions, _ = prepared(size, atoms, precision)
    graph.evaluate(positions)
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as found:
        for _ in range(20):
            graph.evaluate(positions)
        torch.cuda.synchronize()
    return found.key_averages().table(sort_by="cuda_time_total", row_limit=14)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--size", nargs="+", choices=SIZES, default=[*SIZES])
    parser.add_argument("--atoms", nargs="+", type=int, default=[*ATOMS])
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    console = Console()
    place = provenance()
    result: dict[str, Any] = {key: place[key] for key in ("date", "machine", "versions")}
    rows: list[dict[str, Any]] = []
    for size in arguments.size:
        for atoms in map(system, arguments.atoms):
            exact = None
            if len(atoms) <= COMPARED and not arguments.profile:
                exact = exact_forces(size, atoms)
            for precision in PRECISIONS:
                if arguments.profile:
                    print(size, len(atoms), "atoms,", precision)
                    print(profile(size, atoms, precision))
                    continue
                rows.append(measure(size, atoms, precision, exact))
                arguments.out.write_text(json.dumps({**result, "rows": rows}, indent=1) + "\n")
    if arguments.profile:
        return
    shown = ("size", "atoms", "precision", "us_per_step", "ns_per_day_at_1_fs", "atom_steps_per_s",
             "same_twice", "largest_force_difference")  # fmt: skip
    table = Table(*(name.replace("_", " ") for name in shown))
    for row in rows:
        cells = [row[name] for name in shown]
        table.add_row(*(f"{x:.3g}" if isinstance(x, float) else str(x) for x in cells))
    console.print(table)


if __name__ == "__main__":
    main()
