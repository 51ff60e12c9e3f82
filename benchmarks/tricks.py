"""Which ways of distilling earn their place? One small student, one training time, each on or off.

    python -m distill.pretrained.make -o build/students --size original
    distill label drugs:train:300 -o build/students/assistant.h5 --md scout --frames 12 --seed 1 \\
        --temperatures 300,500,700 --teacher ase:distill_ase:StudentCalculator \\
        --teacher-option student=build/students/original.safetensors
    python benchmarks/tricks.py build/students -o docs/distillation.md

Every student is an `ultra-tiny` of the same seed, number of steps and, but for what its name says,
settings (the recipe's), judged on the drugs of the validation split. The assistant is `original`,
which the teacher taught; it labels drugs alone, as the validation set has. Its Hessian-vector
products (Amin et al., ICLR 2025, arXiv 2501.09009) are differences of its forces at x + e v and
x - e v, for random v of unit norm an atom and e = 0.01 Å; the relational term (after FORK) compares
the differences of forces between neighbours in the list of atoms. A stopped call goes on.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from pool import in_processes
from torch import Tensor
from trial import errors_of, page

import distill.train.module
from distill import load_student
from distill.evaluate import read_frames
from distill.evaluate.report import provenance
from distill.kernels import KernelStudent
from distill.pretrained.make import tame
from distill.pretrained.recipe import (
    LEARNING_RATES,
    TRAIN,
    WEIGHT_DECAYS,
    Run,
)
from distill.student import Student
from distill.train.config import TrainConfig
from distill.train.graphs import Graph
from distill.train.load import load_graphs
from distill.train.step import Loss
from distill.train.train import fit_reference, train

SIZE = "ultra-tiny"
STEP = 0.01  # Å
ENERGY_WEIGHT, FORCE_DELTA = Run.energy_weight, Run.force_delta


@dataclass(frozen=True)
class HessianLoss(Loss):
    """Also the difference of the forces of two geometries of a group, per Å between them."""

    hessian_weight: float = 0.1

    def __call__(self, batch: Any, energy: Tensor, forces: Tensor) -> tuple[Tensor, ...]:
        loss, *rest = super().__call__(batch, energy, forces)
        error = forces - batch.forces
        first, group = batch.molecules.first_atom.tolist(), batch.group.tolist()
        terms = [
            error[first[g] : first[g + 1]] - error[first[k] : first[k + 1]]
            for k, g in enumerate(group)
            if g != k
        ]
        if terms:
            curvature = torch.cat(terms) / (2 * STEP)
            loss = loss + self.hessian_weight * (curvature.norm(dim=1) + 1e-10).mean()
        return loss, *rest


@dataclass(frozen=True)
class RelationalLoss(Loss):
    """Also the differences of forces between atoms that follow each other in the list."""

    relational_weight: float = 0.5

    def __call__(self, batch: Any, energy: Tensor, forces: Tensor) -> tuple[Tensor, ...]:
        loss, *rest = super().__call__(batch, energy, forces)
        error = forces - batch.forces
        related = ((error[1:] - error[:-1]) ** 2).sum(1)
        return loss + self.relational_weight * (related + 1e-10).sqrt().mean(), *rest


@dataclass(frozen=True)
class SquaredLoss(Loss):
    """Squares of the force errors in the place of their norms."""

    def __call__(self, batch: Any, energy: Tensor, forces: Tensor) -> tuple[Tensor, ...]:
        loss, force, *rest = super().__call__(batch, energy, forces)
        squared = ((forces - batch.forces) ** 2).sum(-1).mean()
        return loss - force + 5.0 * squared, force, *rest


def in_pairs(graphs: list[Graph], assistant: Student) -> list[Graph]:
    """Each graph's geometry moved to both sides, as the assistant labels them."""
    kernel, rng = KernelStudent(assistant), np.random.default_rng(0)
    found = []
    for k, g in enumerate(graphs):
        shift = STEP * rng.normal(size=g.positions.shape) / np.sqrt(3.0)
        for sign in (1, -1):
            x = g.positions + sign * shift
            answer = kernel.evaluate(x, g.numbers)
            energy = float(answer.energies.sum())
            moved = Graph.build(g.numbers, x, energy, answer.forces, assistant.cutoff)
            found.append(replace(moved, molecule=f"pair {k}"))
    return found


@contextmanager
def loss_of(loss: Callable[..., Loss]) -> Iterator[None]:
    """The trainer's loss, meanwhile."""
    before = distill.train.module.Loss
    distill.train.module.Loss = loss  # type: ignore[misc]
    try:
        yield
    finally:
        distill.train.module.Loss = before  # type: ignore[misc]


TINY = 1e-9
"""A relative weight that changes nothing but that geometries come in pairs."""

RUNS: dict[str, dict[str, Any]] = {
    "the teacher's labels": {},
    "the teacher's labels of drugs alone": {"parts": ["drugs"]},
    "the teacher's and the assistant's labels": {"assistant": True},
    "the assistant's labels": {"assistant": True, "teacher": False},
    "pairs by the assistant": {"pairs": True, "relative": TINY},
    "pairs, Hessian-vector products, weight 0.03": {
        "pairs": True, "relative": TINY, "loss": HessianLoss, "weight": 0.03,
    },
    "pairs, Hessian-vector products, weight 0.1": {
        "pairs": True, "relative": TINY, "loss": HessianLoss, "weight": 0.1,
    },
    "relational term, weight 0.5": {"loss": RelationalLoss, "weight": 0.5},
    "energies within a molecule, weight 10": {"relative": 10.0},
    "energies within a molecule, weight 50": {"relative": 50.0},
    "energy weight 2": {"energy": 2.0},
    "energy weight 20": {"energy": 20.0},
    "norms of force errors": {"delta": 0.0},
    "squares of force errors": {"loss": SquaredLoss, "delta": 0.0},
    "no averaging of weights": {"averaging": 0.0},
    "averaging over 2,000 steps": {"averaging": 0.9995},
}  # fmt: skip


def run(folder: Path, name: str, steps: int) -> dict[str, float]:
    """One student and its errors."""
    torch.set_num_threads(1)
    how = RUNS[name]
    student = Student.untrained(SIZE)
    parts = how.get("parts", [part.name for part in TRAIN])
    taught = tame(load_graphs([folder / f"{part}.h5" for part in parts], student))
    graphs = taught if how.get("teacher", True) else []
    if how.get("assistant"):
        graphs = graphs + load_graphs([folder / "assistant.h5"], student)
    if how.get("pairs"):
        # nameless: two conformers of a drug are no pair in this sense
        graphs = [replace(g, molecule="") for g in graphs]
        graphs += in_pairs(taught, load_student(folder / "original.safetensors"))
    fit_reference(student, taught)
    config = TrainConfig(
        steps=steps, learning_rate=LEARNING_RATES[SIZE], steps_per_epoch=steps,
        weight_decay=WEIGHT_DECAYS[SIZE], force_delta=how.get("delta", FORCE_DELTA),
        energy_weight=how.get("energy", ENERGY_WEIGHT), averaging=how.get("averaging", 0.998),
        relative_energy_weight=how.get("relative", 0.0),
    )  # fmt: skip
    kind, weight = how.get("loss", Loss), how.get("weight")

    def loss(*weights: float) -> Loss:
        return kind(*weights) if weight is None else kind(*weights, weight)

    with TemporaryDirectory() as out, loss_of(loss):
        student = train(student, graphs, [], Path(out), config, progress=False)
    return {"labels": len(graphs), **errors_of(student, read_frames(folder / "validation.h5"))}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of the datasets and original.safetensors")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the Markdown file")
    parser.add_argument("--steps", type=int, default=15_000)
    parser.add_argument("--only", nargs="+", choices=[*RUNS], default=[*RUNS], help="runs")
    parser.add_argument("--workers", type=int, help="default: one a core")
    arguments = parser.parse_args()
    record = arguments.out.with_suffix(".json")
    results: dict = {"runs": {}, "steps": arguments.steps, **provenance()}
    if record.is_file():
        results["runs"] = json.loads(record.read_text())["runs"]
    tasks = {
        name: (arguments.folder, name, arguments.steps)
        for name in arguments.only
        if name not in results["runs"]
    }
    for name, found in in_processes(run, tasks, arguments.workers):
        results["runs"][name] = found
        results["runs"] = {n: results["runs"][n] for n in RUNS if n in results["runs"]}
        record.write_text(json.dumps(results, indent=2) + "\n")
        print(name, found, flush=True)
    title = "Which ways of distilling earn their place?"
    arguments.out.write_text(page(title, "tricks.py", SIZE, results))


if __name__ == "__main__":
    main()
