"""How fast are training and labelling here? Nothing else should run on the machine meanwhile.

    python benchmarks/speed.py -o speed.json [--only training labelling]

A training step on drugs of about 45 atoms: through the kernel, compiled, and eager, on one thread
and on two; GFN2-xTB labels on all cores. Medians of several repeats. For MD see `distill bench`.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from distill.bench.systems import LORATADINE, PARACETAMOL
from distill.data.explore import first_geometries
from distill.data.label import label
from distill.data.molecules import read_molecules
from distill.data.sampling import Frame, Sampling
from distill.evaluate.report import provenance
from distill.student import SIZES, Student
from distill.teacher import TeacherSpec
from distill.train.graphs import Capacity, Graph, collate
from distill.train.kernel_step import KernelInput, KernelStep
from distill.train.step import EagerStep, Loss, make_step, parameters_of

REPEATS = 5
PARTS = ("training", "labelling")


def median_ms(work: Callable[[], object], calls: int) -> tuple[float, float, float]:
    """Median, least and most milliseconds per call over REPEATS rounds of ``calls`` calls."""
    work()
    rounds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        for _ in range(calls):
            work()
        rounds.append(1000 * (time.perf_counter() - started) / calls)
    return float(np.median(rounds)), min(rounds), max(rounds)


def training(sizes: Sequence[str]) -> list[dict[str, Any]]:
    """Molecules a second of one training step."""
    rng = np.random.default_rng(0)
    rows = []
    molecules = read_molecules("drugs:train:40")
    for size in sizes:
        student = Student.untrained(size)
        graphs = []
        for molecule in molecules:
            positions = first_geometries(molecule, 1, 0)[0]
            graphs.append(
                Graph.build(molecule.numbers, positions, 0.0, rng.normal(size=positions.shape), 5.0)
            )
        capacity = Capacity.for_graphs(graphs)
        batch: list[Graph] = []
        for graph in graphs:
            if capacity.fits([*batch, graph]):
                batch.append(graph)
        padded = collate(
            batch, capacity, student.species_of.numpy(), student.reference.numpy(), 5.0
        )
        atoms = sum(len(g.numbers) for g in batch) / len(batch)
        parameters = parameters_of(student)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            started = time.perf_counter()
            compiled, backend = make_step(student, Loss(), "compiled", padded)
            seconds = time.perf_counter() - started
            steps: list[tuple[str, Any, Any]] = [
                ("kernel", KernelStep(student, Loss()), KernelInput.of(batch)),
                (backend, compiled, padded),
                ("eager", EagerStep(student, Loss()), padded),
            ]
            for name, step, given in steps:
                ms, least, most = median_ms(
                    lambda s=step, p=parameters, g=given: s(p, g), 40 if name == "kernel" else 10
                )
                rows.append(
                    {
                        "size": size, "step": name, "threads": threads, "molecules": len(batch),
                        "mean_atoms": atoms, "ms_per_step": ms, "least": least, "most": most,
                        "molecules_per_s": 1000 * len(batch) / ms,
                        "ready_after_s": seconds if name == "compiled" else 0.0,
                    }
                )  # fmt: skip
    return rows


def labelling() -> list[dict[str, Any]]:
    """GFN2-xTB labels a second on all cores, start of the processes included."""
    rows = []
    for name, smiles in (("paracetamol", PARACETAMOL), ("loratadine", LORATADINE)):
        (molecule,) = read_molecules(smiles)
        starts = first_geometries(molecule, 8, 0)
        rng = np.random.default_rng(0)
        frames = [
            Frame(starts[k % 8] + rng.normal(0, 0.03, starts[0].shape), "displaced")
            for k in range(400)
        ]
        tasks = [(molecule, frames[k : k + 20]) for k in range(0, len(frames), 20)]
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            label(tasks, TeacherSpec(), Path(folder) / "labels.h5", progress=False)
            seconds = time.perf_counter() - started
            plan = [(molecule, Sampling(frames=20, seed=k)) for k in range(10)]
            started = time.perf_counter()
            label(plan, TeacherSpec(), Path(folder) / "sampled.h5", progress=False)
            sampled = time.perf_counter() - started
        rows.append(
            {
                "molecule": name, "atoms": len(molecule), "workers": os.cpu_count(),
                "labels_per_s": len(frames) / seconds,
                "sampled_and_labelled_per_s": 200 / sampled,
            }
        )  # fmt: skip
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sizes", nargs="+", choices=[*SIZES], default=[*SIZES])
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": provenance()["machine"],
        "versions": {n: version(n) for n in ("torch", "tblite", "mlff-distiller")},
        "platform": platform.platform(),
    }
    console = Console()
    console.print(result)
    for part in arguments.only:
        rows = training(arguments.sizes) if part == "training" else labelling()
        result[part] = rows
        columns = list(dict.fromkeys(key for r in rows for key in r))
        table = Table(*columns, title=part)
        for r in rows:
            cells = [r.get(c, "") for c in columns]
            table.add_row(*(f"{c:.3g}" if isinstance(c, float) else str(c) for c in cells))
        console.print(table)
    console.print("CUDA: not measured (no device).")
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
