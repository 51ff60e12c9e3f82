"""Which architecture is worth its price? Every variant gets the same time on one thread.

    distill label drugs:train:700 --frames 10 -o build/train.h5
    distill label drugs:validation:60 --frames 10 -o build/valid.h5
    python benchmarks/architecture.py build/train.h5 build/valid.h5 -o build/architecture.json

First each variant's steps are timed, one after the other (nothing else should run meanwhile). Then
each trains for as many steps as fit into the time, two at once: what else runs changes nothing now.
Variants that the kernel does not know train in torch for a quarter of the steps of the size as it
is, which is there as often too. Prints the force error on the validation molecules (no scaffold of
which is in the training set) against the parameters and the flops that an atom costs; --markdown
FILE writes the table. A stopped run goes on where it was.
"""

import argparse
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from variants import BUDGETS, Variant, of_kernel, of_torch

from distill.bench.roofline import flops_per_atom
from distill.evaluate.report import provenance
from distill.pretrained.make import tame
from distill.student import SIZES, Student
from distill.train.config import LEARNING_RATES, TrainConfig
from distill.train.graphs import Capacity, Graph, collate
from distill.train.kernel_step import KernelInput, KernelStep
from distill.train.load import load_graphs
from distill.train.step import EagerStep, Loss, parameters_of
from distill.train.train import fit_reference, train

QUARTER = "as it is, a quarter of the steps"


def variant(size: str, name: str) -> Variant:
    """By its name."""
    return {**of_kernel(size), **of_torch(size), QUARTER: of_kernel(size)["as it is"]}[name]


def trained(
    size: str, name: str, files: tuple[Path, Path], out: Path, **budget: float
) -> tuple[Student, list[Graph], dict[str, Any]]:
    """A variant trained on one thread, the validation geometries, and the state of its run."""
    torch.set_num_threads(1)
    chosen = variant(size, name)
    student = chosen.student()
    train_set, valid_set = (tame(load_graphs([path], student)) for path in files)
    fit_reference(student, train_set)
    shutil.rmtree(out, ignore_errors=True)
    options = TrainConfig(
        learning_rate=LEARNING_RATES[size], steps_per_epoch=500, max_valid=50,
        optimizer=chosen.optimizer, backend="compiled" if chosen.change else "kernel", **budget,
    )  # fmt: skip
    student = train(student, train_set, valid_set, out, options, progress=False)
    state = torch.load(out / "last.ckpt", weights_only=True)["distill"]
    return student, valid_set, {**state, "geometries": len(train_set)}


def steps_a_minute(size: str, name: str, files: tuple[Path, Path], folder: Path) -> float:
    """Measured for three seconds, on the smaller file."""
    _, _, state = trained(size, name, (files[1], files[1]), folder / "timed", minutes=0.05)
    return 60.0 * state["steps_done"] / state["seconds_done"]


def force_rmse(student: Student, graphs: list[Graph], torch_only: bool) -> float:
    """eV/Å, over all components."""
    loss, squares, atoms = Loss(), 0.0, 0
    parameters = parameters_of(student)
    capacity = Capacity.for_graphs(graphs)
    arrays = student.species_of.numpy(), student.reference.numpy(), student.config.cutoff
    evaluate: Callable[[list[Graph]], torch.Tensor]
    if torch_only:
        eager = EagerStep(student, loss)
        evaluate = lambda some: eager(parameters, collate(some, capacity, *arrays))[0]  # noqa: E731
    else:
        kernel = KernelStep(student, loss)
        evaluate = lambda some: kernel.validate(parameters, KernelInput.of(some))  # noqa: E731
    for graph in graphs:
        n = len(graph.numbers)
        squares += float(evaluate([graph])[3]) * n
        atoms += n
    return float(np.sqrt(squares / atoms / 3))


def fit(job: tuple[str, str, int], files: tuple[Path, Path], folder: Path) -> dict[str, Any]:
    """Trains one variant; its row of the table."""
    size, name, steps = job
    out = folder / f"{size}-{name}".replace(" ", "-").replace(",", "")
    chosen = variant(size, name)
    student, valid_set, state = trained(size, name, files, out, steps=steps)
    neighbours = float(np.mean([g.edge_index.shape[1] / len(g.numbers) for g in valid_set]))
    return {
        "size": size,
        "variant": name,
        "parameters": sum(p.numel() for p in parameters_of(student)),
        # what torch alone knows differs little in its work; it is not counted
        "flops_per_atom": None if chosen.change else flops_per_atom(chosen.config, neighbours),
        "steps": steps,
        "force_rmse": force_rmse(student, valid_set, torch_only=chosen.change is not None),
        "training_geometries": state["geometries"],
        "validation_geometries": len(valid_set),
    }


def markdown(result: dict[str, Any]) -> str:
    """The table."""
    rows = result["rows"]
    lines = [
        f"{result['date']}, {result['machine']['cpu']}, torch {result['versions']['torch']}; "
        f"{', '.join(f'{size}: {m:g} minutes' for size, m in result['minutes'].items())} on one "
        f"thread; {rows[0]['training_geometries']:,} geometries to train on, "
        f"{rows[0]['validation_geometries']} to validate; made by `benchmarks/architecture.py`.",
        "",
        "| size | variant | parameters | kflop/atom | steps | force RMSE (meV/Å) |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for r in rows:
        over = " (over budget)" if r["parameters"] > BUDGETS[r["size"]] else ""
        flops = f"{r['flops_per_atom'] / 1e3:,.0f}" if r["flops_per_atom"] else ""
        lines.append(
            f"| {r['size']} | {r['variant']} | {r['parameters']:,}{over} | {flops} | "
            f"{r['steps']:,} | {1e3 * r['force_rmse']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("train", type=Path)
    parser.add_argument("valid", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--sizes", nargs="+", choices=[*SIZES], default=["ultra-tiny", "tiny"])
    parser.add_argument("--torch-sizes", nargs="*", choices=[*SIZES], default=["ultra-tiny"])
    parser.add_argument("--only", nargs="+", help="names of variants")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--markdown", type=Path)
    arguments = parser.parse_args()
    files = (arguments.train, arguments.valid)
    folder = arguments.out.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    place = provenance()
    result: dict[str, Any] = {key: place[key] for key in ("date", "machine", "versions")}
    result |= {"minutes": {}, "steps_a_minute": {}, "rows": []}
    if arguments.out.is_file():
        result = json.loads(arguments.out.read_text())
    save = lambda: arguments.out.write_text(json.dumps(result, indent=2) + "\n")  # noqa: E731

    jobs = []
    done = {(r["size"], r["variant"]) for r in result["rows"]}
    speeds = result["steps_a_minute"]
    wanted = [
        (size, name)
        for size in arguments.sizes
        for name in of_kernel(size)
        if name == "as it is" or not arguments.only or name in arguments.only
    ]
    # the best of three rounds: the machine has its moods
    for size, name in 3 * [w for w in wanted if f"{w[0]}, {w[1]}" not in speeds]:
        key = f"{size}, {name}"
        speeds[key] = max(speeds.get(key, 0.0), steps_a_minute(size, name, files, folder))
        print(f"{key}: {speeds[key]:,.0f} steps a minute", flush=True)
    for size in arguments.sizes:
        budget = result["minutes"].setdefault(size, arguments.minutes)
        jobs += [(s, name, int(budget * speeds[f"{s}, {name}"])) for s, name in wanted if s == size]
        if size in arguments.torch_sizes:
            quarter = int(budget * speeds[f"{size}, as it is"] / 4)
            jobs += [(size, name, quarter) for name in (QUARTER, *of_torch(size))]
    save()
    if arguments.only:
        jobs = [job for job in jobs if job[1] in arguments.only]
    jobs = [job for job in jobs if job[:2] not in done]
    with ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool:
        for row in pool.map(partial(fit, files=files, folder=folder), jobs):
            result["rows"].append(row)
            print(json.dumps(row), flush=True)
            save()
    if arguments.markdown and result["rows"]:
        arguments.markdown.write_text(markdown(result))
    Console().print(markdown(result))


if __name__ == "__main__":
    main()
