"""Which labels are worth their price? One small student, one training time, different data.

    python -m distill.pretrained.make -o build/students --data-only
    python benchmarks/learning_curves.py build/students -o docs/learning.md

Every student is an `ultra-tiny` trained from the same seed for the same number of steps, and
judged on the drugs of the validation split (force MAE and RMSE, energies within a molecule). Varied
are the number of molecules, of frames of each, the temperatures, the kind of molecules at one
labelling cost, and who chooses the second half of the labels: chance, the distance from what was
learned (`distill/student/latent.py`), or a committee's disagreement. A stopped call goes on.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib
import numpy as np
import torch
from pool import in_processes
from trial import errors_of, page

from distill.evaluate import read_frames
from distill.evaluate.frames import LabelledFrame
from distill.evaluate.report import provenance
from distill.kernels import KernelStudent
from distill.pretrained.recipe import WILDEST_FORCE
from distill.student import Student
from distill.train.config import TrainConfig
from distill.train.graphs import graphs_of
from distill.train.latent import fit_latent
from distill.train.train import fit_reference, train

SIZE = "ultra-tiny"
MILLISECONDS = {"drugs": 92, "fragments": 20, "dipeptides": 40}
"""Of one label, roughly, on one core: the price of the kinds of molecules."""
COMMITTEE = 3
HALF = 1800
"""Labels that are there, and labels that are to be chosen."""

Frames = list[LabelledFrame]


@cache
def frames_of(folder: Path, name: str) -> Frames:
    """A dataset file's frames, without the wildest."""
    return [f for f in read_frames(folder / f"{name}.h5") if np.abs(f.forces).max() < WILDEST_FORCE]


def molecules(frames: Frames, count: int) -> Frames:
    """All frames of ``count`` molecules, chosen by chance."""
    names = list(dict.fromkeys(f.name for f in frames))
    chosen = set(np.random.default_rng(0).permutation(names)[:count].tolist())
    return [f for f in frames if f.name in chosen]


def some(frames: Frames, count: int, seed: int = 0) -> Frames:
    """``count`` of them, chosen by chance."""
    order = np.random.default_rng(seed).permutation(len(frames))[:count]
    return [frames[k] for k in order]


def each(frames: Frames, count: int) -> Frames:
    """At most ``count`` frames of each molecule."""
    seen: dict[str, int] = {}
    found = []
    for f in some(frames, len(frames)):
        seen[f.name] = seen.get(f.name, 0) + 1
        if seen[f.name] <= count:
            found.append(f)
    return found


def at(frames: Frames, temperatures: tuple[float, ...], count: int) -> Frames:
    """``count`` of those at these temperatures (K), chosen by chance."""
    return some([f for f in frames if f.temperature in temperatures], count)


def trained(frames: Frames, valid: Frames, steps: int, seed: int = 0) -> Student:
    """A student of the frames."""
    torch.set_num_threads(1)
    student = Student.untrained(SIZE, seed)
    own = graphs_of(frames, student)
    fit_reference(student, own)
    config = TrainConfig(steps=steps, learning_rate=6e-3, steps_per_epoch=steps, seed=seed)
    with TemporaryDirectory() as out:
        student = train(student, own, [], Path(out), config, progress=False)
    student.latent = fit_latent(student, own, graphs_of(some(valid, 200), student))
    return student


def chosen(first: Frames, pool: Frames, valid: Frames, steps: int, how: str) -> Frames:
    """``first`` and as many frames of the pool."""
    if how == "chance":
        return first + some(pool, HALF)
    if how == "distance":
        kernel = KernelStudent(trained(first, valid, steps))
        worth = [kernel.evaluate(f.positions, f.numbers).distances.mean() for f in pool]
    else:
        kernels = [KernelStudent(trained(first, valid, steps, s)) for s in range(COMMITTEE)]
        worth = []
        for f in pool:
            forces = np.array([k.evaluate(f.positions, f.numbers).forces for k in kernels])
            worth.append(forces.std(0).mean())
    order = np.argsort(worth)[::-1][:HALF]
    return first + [pool[k] for k in order]


def plan(folder: Path, steps: int) -> dict[str, Callable[[], Frames]]:
    """What each run trains on, by its name."""
    drugs, valid = frames_of(folder, "drugs"), frames_of(folder, "validation")
    fragments, peptides = frames_of(folder, "fragments"), frames_of(folder, "dipeptides")
    first = molecules(drugs, HALF // 12)
    names = {f.name for f in first}
    pool = [f for f in drugs if f.name not in names]
    dear, cheap = MILLISECONDS["drugs"], MILLISECONDS["fragments"]
    n = 2000  # drug labels' worth
    runs: dict[str, Callable[[], Frames]] = {}
    for count in (75, 150, 300, 600, 1250):
        runs[f"molecules: {count}"] = lambda c=count: molecules(drugs, c)  # type: ignore[misc]
    for count in (1, 2, 4, 8, 12):
        runs[f"frames of each: {count}"] = lambda c=count: each(drugs, c)  # type: ignore[misc]
    for label, kelvin in (
        ("300, 400 K", (300.0, 400.0)),
        ("500 K", (500.0,)),
        ("700, 1000 K", (700.0, 1000.0)),
        ("all", (300.0, 400.0, 500.0, 700.0, 1000.0)),
    ):
        runs[f"temperatures: {label}"] = lambda k=kelvin: at(drugs, k, 2400)  # type: ignore[misc]
    runs |= {
        "kind: drugs": lambda: some(drugs, n),
        "kind: other molecules of ChEMBL": lambda: some(frames_of(folder, "chembl"), n),
        "kind: half drugs, half ChEMBL": lambda: (
            some(drugs, n // 2) + some(frames_of(folder, "chembl"), n // 2)
        ),
        "kind: fragments": lambda: some(fragments, n * dear // cheap),
        "kind: half of each": lambda: some(drugs, n // 2) + some(fragments, n // 2 * dear // cheap),
        "kind: drugs, fragments, dipeptides": lambda: (
            some(drugs, n // 2)
            + some(fragments, n // 4 * dear // cheap)
            + some(peptides, n // 4 * dear // MILLISECONDS["dipeptides"])
        ),
        "kind: drugs by the force field": lambda: some(frames_of(folder, "drugs-force-field"), n),
    }
    for how in ("chance", "distance", "committee"):
        runs[f"chosen by: {how}"] = lambda h=how: chosen(  # type: ignore[misc]
            first, pool, valid, steps, h
        )
    return runs


def run(folder: Path, name: str, steps: int) -> dict[str, float]:
    """One student and its errors."""
    started = time.monotonic()
    valid = frames_of(folder, "validation")
    frames = plan(folder, steps)[name]()
    student = trained(frames, valid, steps)
    return {
        "labels": len(frames),
        **errors_of(student, valid),
        "minutes": (time.monotonic() - started) / 60,
    }


def draw(results: dict, file: Path) -> None:
    """Three panels: molecules and frames, temperatures and kinds, who chooses."""
    from matplotlib.figure import Figure

    groups: dict[str, dict[str, dict]] = {}
    for name, r in results["runs"].items():
        kind, _, label = name.partition(": ")
        groups.setdefault(kind, {})[label] = r
    with matplotlib.rc_context({"font.size": 7}):
        figure = Figure(figsize=(7.1, 2.6), layout="constrained")
        curve, *bars = figure.subplots(1, 3, width_ratios=[2, 1.6, 1])
        for kind in ("molecules", "frames of each"):
            rows = groups.get(kind, {}).values()
            x, y = [r["labels"] for r in rows], [1e3 * r["force_mae"] for r in rows]
            curve.plot(x, y, "o-", ms=3, lw=1, label=f"more {kind}")
        curve.set(xscale="log", xlabel="labels", ylabel="force MAE (meV/Å)")
        curve.legend(frameon=False)
        for axes, kinds in zip(bars, (("temperatures", "kind"), ("chosen by",)), strict=True):
            rows = {k: v for kind in kinds for k, v in groups.get(kind, {}).items()}
            axes.barh(list(rows), [1e3 * r["force_mae"] for r in rows.values()], color="#0072B2")
            axes.invert_yaxis()
            axes.set_xlabel("force MAE (meV/Å)")
        figure.savefig(file, dpi=200)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of the datasets")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the Markdown file")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--only", default="", help="runs whose name begins so")
    parser.add_argument("--workers", type=int, help="default: one a core")
    arguments = parser.parse_args()
    record = arguments.out.with_suffix(".json")
    results: dict = {"runs": {}, "steps": arguments.steps, **provenance()}
    if record.is_file():
        results["runs"] = json.loads(record.read_text())["runs"]
    names = [n for n in plan(arguments.folder, arguments.steps) if n.startswith(arguments.only)]
    tasks = {
        name: (arguments.folder, name, arguments.steps)
        for name in names
        if name not in results["runs"]
    }
    for name, found in in_processes(run, tasks, arguments.workers):
        results["runs"][name] = found
        results["runs"] = {n: results["runs"][n] for n in names if n in results["runs"]}
        record.write_text(json.dumps(results, indent=2) + "\n")
        print(name, found, flush=True)
    text = page("Which labels are worth their price?", "learning_curves.py", SIZE, results)
    arguments.out.write_text(f"{text}\n![Learning curves]({arguments.out.stem}.png)\n")
    draw(results, arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
