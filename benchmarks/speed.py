"""How fast are training, labelling and MD here? Nothing else should run on the machine meanwhile.

    python benchmarks/speed.py -o speed.json [--only md training labelling]

MD at 1 fs of loratadine (50 atoms) in vacuum through ASE and OpenMM, with the share of an OpenMM
step that is not the network; training on drugs, compiled against eager, on one thread; GFN2-xTB
labels on all cores. Medians of several repeats.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import torch
from ase import units
from ase.md.langevin import Langevin
from openmm import app
from rich.console import Console
from rich.table import Table

from distill import load_student
from distill.data.explore import first_geometries
from distill.data.label import label
from distill.data.molecules import read_molecules
from distill.data.sampling import Frame, Sampling
from distill.evaluate.report import provenance
from distill.student import SIZES, Student
from distill.student.neighbours import neighbour_list
from distill.teacher import TeacherSpec
from distill.train.graphs import Capacity, Graph, collate
from distill.train.step import EagerStep, Loss, make_step, parameters_of
from distill_ase import StudentCalculator
from distill_openmm.md import system_of, topology_of

LORATADINE = "CCOC(=O)N1CCC(=C2c3ccc(Cl)cc3CCc3cccnc32)CC1"
REPEATS = 5


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


def md() -> list[dict[str, Any]]:
    """A row for each size and engine."""
    torch.set_num_threads(1)
    (molecule,) = read_molecules(LORATADINE)
    start = first_geometries(molecule, 1, 0)[0]
    rows = []
    for size in SIZES:
        student = load_student(size)
        edges, shift = neighbour_list(start, None, False, student.cutoff)
        arguments = (
            torch.tensor(start, dtype=torch.float32),
            torch.tensor(molecule.numbers),
            torch.tensor(edges),
            torch.tensor(shift, dtype=torch.float32),
        )
        network = torch.jit.script(student)
        for _ in range(20):
            network(*arguments)
        base = median_ms(lambda n=network, a=arguments: n(*a), 100)
        rows.append(row("network alone", size, base, molecule))

        atoms = molecule.atoms(start)
        atoms.calc = StudentCalculator(student)
        dynamics = Langevin(
            atoms, units.fs, temperature_K=300, friction=0.01 / units.fs,
            rng=np.random.default_rng(0),
        )  # fmt: skip
        dynamics.run(50)
        rows.append(row("ASE", size, median_ms(lambda d=dynamics: d.run(20), 10), molecule, 20))

        for name in ("Reference", "CPU"):
            topology = topology_of(molecule)
            system = system_of(student, topology)
            integrator = openmm.LangevinMiddleIntegrator(300, 1.0, 0.001)
            simulation = app.Simulation(
                topology, system, integrator, openmm.Platform.getPlatform(name)
            )
            simulation.context.setPositions(start * 0.1)
            simulation.minimizeEnergy(maxIterations=50)
            simulation.context.setVelocitiesToTemperature(300, 0)
            integrator.step(200)
            timed = median_ms(lambda i=integrator: i.step(50), 10)
            found = row(f"OpenMM {name}", size, timed, molecule, 50)
            found["share_not_network"] = 1 - base[0] / found["ms_per_step"]
            rows.append(found)
    return rows


def row(
    engine: str, size: str, timed: tuple[float, float, float], molecule: Any, steps: int = 1
) -> dict[str, Any]:
    """One line of the MD table."""
    ms, least, most = (value / steps for value in timed)
    return {
        "engine": engine, "size": size, "atoms": len(molecule), "ms_per_step": ms,
        "least": least, "most": most, "ns_per_day": 86400 / ms * 1e-3,
    }  # fmt: skip


def training() -> list[dict[str, Any]]:
    """Molecules a second of one training step, on one thread."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    rows = []
    molecules = read_molecules("drugs:train:40")
    for size in SIZES:
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
        started = time.perf_counter()
        compiled, backend = make_step(student, Loss(), "auto", padded)
        seconds = time.perf_counter() - started
        for name, step in ((backend, compiled), ("eager", EagerStep(student, Loss()))):
            ms, least, most = median_ms(lambda s=step, p=parameters, b=padded: s(p, b), 10)
            rows.append(
                {
                    "size": size, "step": name, "molecules": len(batch), "mean_atoms": atoms,
                    "ms_per_step": ms, "least": least, "most": most,
                    "molecules_per_s": 1000 * len(batch) / ms,
                    "ready_after_s": seconds if name != "eager" else 0.0,
                }
            )  # fmt: skip
    return rows


def labelling() -> list[dict[str, Any]]:
    """GFN2-xTB labels a second on all cores, start of the processes included."""
    rows = []
    for name, smiles in (("paracetamol", "CC(=O)Nc1ccc(O)cc1"), ("loratadine", LORATADINE)):
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


PARTS = {"md": md, "training": training, "labelling": labelling}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--only", nargs="+", choices=[*PARTS], default=[*PARTS])
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": provenance()["machine"],
        "versions": {n: version(n) for n in ("torch", "openmm", "ase", "tblite", "mlff-distiller")},
        "platform": platform.platform(),
    }
    console = Console()
    console.print(result)
    for part in arguments.only:
        rows = PARTS[part]()
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
