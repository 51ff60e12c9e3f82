"""Makes the shipped students again, from nothing: ``python -m distill.pretrained.make -o DIR``.

Labels the sets of `distill.pretrained.recipe`, trains the three sizes, looks at the test set once,
and writes DIR/SIZE.safetensors, each with its card. What is there already is kept: a stopped run
goes on, and one given more steps goes on from before its learning rate fell. With --judge nothing
is trained: DIR's students, or the shipped ones where they are not there, meet the test set.
"""

import argparse
import copy
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.data.label import label
from distill.data.molecules import read_molecules
from distill.data.sampling import chunks
from distill.evaluate import evaluate, read_frames
from distill.pretrained import recipe
from distill.pretrained.card import charges, errors, training_set
from distill.pretrained.energies import energy_errors
from distill.student import Student, load_student, save_student
from distill.student.config import SIZES
from distill.student.latent import Latent
from distill.teacher.base import TeacherSpec
from distill.train.apart import apart
from distill.train.config import TrainConfig
from distill.train.graphs import Graph, graphs_of
from distill.train.latent import fit_latent, known_environments
from distill.train.load import load_graphs
from distill.train.sources import common_teacher
from distill.train.train import fit_reference, progress_of, train

NONE = 1e-9
"""Of a training's budget: the learning rate does not fall at all."""


def make_data(
    folder: Path,
    parts: Sequence[recipe.Part],
    molecules: int | None = None,
    workers: int | None = None,
) -> list[Path]:
    """The dataset files of ``parts``, made where they are not there yet.

    molecules: of each part, at most; for a trial.
    """
    files = []
    for part in parts:
        file = folder / f"{part.name}.h5"
        tasks = [
            task
            for molecule in read_molecules(part.source)[:molecules]
            for task in chunks(molecule, part.sampling)
        ]
        label(tasks, TeacherSpec(recipe.TEACHER), file, workers=workers)
        files.append(file)
    return files


def tame(graphs: Sequence[Graph]) -> list[Graph]:
    """Without the geometries whose largest force component is beyond all that MD visits."""
    return [g for g in graphs if np.abs(g.forces).max() < recipe.WILDEST_FORCE]


def make_student(
    size: str,
    folder: Path,
    files: dict[str, list[Path]],
    share: float,
    accelerator: str = "cpu",
    start: Path | None = None,
) -> Student:
    """Trains one size through the recipe's runs; checkpoints go to folder/train-SIZE-RUN.

    files: of each of the recipe's sets that the size needs. share: of the recipe's steps.
    accelerator: Lightning's. start: a student that has all runs but the last behind it.
    """
    torch.set_num_threads(1)  # two trainings on one thread each beat one on two
    before = load_student(str(start)) if start else None
    student = Student.untrained(size, recipe.SEED)
    if before:  # its weights; what is not a weight (see StudentConfig) is as the size has it now
        student.load_state_dict(before.state_dict())
    valid = tame(load_graphs(files["VALIDATION"], student))
    order = np.random.default_rng(recipe.SEED).permutation(len(valid))
    valid = [valid[k] for k in order]  # the trainer looks at some of them only
    settings: dict[str, Any] = {
        "seed": recipe.SEED, "weight_decay": recipe.WEIGHT_DECAYS[size],
    }  # fmt: skip

    earlier: list[Graph] = []  # of runs before one that is alone
    graphs: list[Graph] = []
    of_file: dict[Path, list[Graph]] = {}
    runs = recipe.RUNS[size]
    outs = [folder / f"train-{size}-{k + 1}" for k in range(len(runs))]
    for k, (run, out) in enumerate(zip(runs, outs)):
        if before is not None and k < len(runs) - 1:
            continue
        before_run = copy.deepcopy(student.state_dict())
        if run.alone:
            earlier, graphs = earlier + graphs, []
        for leg in run.legs:
            joining = [file for name in leg.sets for file in files[name]]
            for file in joining:
                of_file[file] = of_file.get(file) or tame(load_graphs([file], student))
            graphs = graphs + [graph for file in joining for graph in of_file[file]]
            if run.alone:
                graphs = graphs + tame(graphs_of(apart(joining), student))
            if leg is runs[0].legs[0]:
                fit_reference(student, graphs)
            ends, steps = leg is run.legs[-1], round(share * leg.until)
            if steps_in(out) < steps:  # the runs after it started from fewer
                for later in outs[k + 1 :]:
                    shutil.rmtree(later, ignore_errors=True)
            elif not ends:
                continue
            config = TrainConfig(
                steps=steps, learning_rate=run.rate * recipe.LEARNING_RATES[size],
                energy_weight=run.energy_weight,
                relative_energy_weight=run.relative_energy_weight, force_delta=run.force_delta,
                decay=run.decay if ends else NONE, batch=run.batch,
                steps_per_epoch=1000, max_valid=300, accelerator=accelerator, **settings,
            )  # fmt: skip
            student = go_on(student, graphs, valid, out, config)
        if run.way < 1.0:
            student.load_state_dict(between(before_run, student.state_dict(), run.way))

    known = known_environments(earlier)
    if before and before.latent and before.latent.environments:
        known |= before.latent.environments
    student.latent = knowing(fit_latent(student, graphs, valid), known)
    geometries = len(set(map(id, earlier + graphs)))  # some are there more than once
    trained_on = list(
        dict.fromkeys(file for name in sets_of(size, start is not None) for file in files[name])
    )
    student.card = {
        "teacher": asdict(common_teacher(trained_on)),
        "training_set": {
            **(before.card["training_set"] if before else {}),
            **training_set(trained_on, geometries),
        },
        "charges": sorted({*charges(trained_on), *(before.card["charges"] if before else ())}),
        "training": {
            "steps": sum(steps_in(out) for out in outs)
            + (before.card["training"]["steps"] if before else 0),
            "learning_rate": recipe.LEARNING_RATES[size],
            **settings,
        },
        "not_for": "reactions, metals, radicals; condensed phases were not checked",
    }
    return student


def between(one: dict[str, Tensor], other: dict[str, Tensor], way: float) -> dict[str, Tensor]:
    """Weights that are ``way`` of the way from one to the other."""
    return {k: x.lerp(other[k], way) if x.is_floating_point() else x for k, x in one.items()}


def knowing(latent: Latent | None, known: frozenset[str]) -> Latent | None:
    """With these environments, too, and without UNLEARNED."""
    if latent is None or latent.environments is None:
        return latent
    return replace(latent, environments=(latent.environments | known) - recipe.UNLEARNED)


def sets_of(size: str, last: bool = False) -> list[str]:
    """The recipe's sets that a size is trained on (in its last run), in the order in which they
    join."""
    runs = recipe.RUNS[size][-1:] if last else recipe.RUNS[size]
    legs = [leg for run in runs for leg in run.legs]
    return list(dict.fromkeys(name for leg in legs for name in leg.sets))


def go_on(
    student: Student, graphs: list[Graph], valid: list[Graph], out: Path, config: TrainConfig
) -> Student:
    """Trains, from where an earlier call was stopped if there was one."""
    return train(student, graphs, valid, out, config, resume=(out / "last.ckpt").is_file())


def steps_in(out: Path) -> int:
    """Done by the training in this folder."""
    last = out / "last.ckpt"
    return int(progress_of(last)["steps_done"]) if last.is_file() else 0


def judge(students: dict[str, Student], files: list[Path], folder: Path, name: str) -> None:
    """Evaluates students on dataset files, into folder/NAME-SIZE; their cards receive NAME."""
    frames = [frame for file in files for frame in read_frames(file)]
    for size, student in students.items():
        out = folder / f"{name.replace('_', '-')}-{size}"
        student.card[name] = errors(evaluate(student, frames, out, name=size, overwrite=True))
        save_student(student, folder / f"{size}.safetensors")
        print(size, name, json.dumps(student.card[name]))


def judge_energies(
    students: dict[str, Student], folder: Path, molecules: int | None, workers: int | None
) -> None:
    """The students' cards receive what conformers, torsions and contacts are wrong by."""
    limits = molecules, workers
    conformers = make_data(folder, recipe.TEST_CONFORMERS, *limits)
    contacts = make_data(folder, recipe.TEST_CONTACTS, *limits)
    parts = make_data(folder, recipe.CONTACTS, *limits)
    for size, student in students.items():
        student.card["energies"] = energy_errors(student, conformers, contacts, parts)
        save_student(student, folder / f"{size}.safetensors")
        print(size, "energies", json.dumps(student.card["energies"]))


def trained(size: str, folder: Path) -> Student:
    """The folder's student, or the shipped one where the folder has none."""
    file = folder / f"{size}.safetensors"
    return load_student(file if file.is_file() else size)


def make_students(
    folder: Path, arguments: argparse.Namespace, molecules: int | None, workers: int | None
) -> dict[str, Student]:
    """Labels, trains and validates; the students of the sizes asked for."""
    sizes = arguments.size or SIZES
    start: Path | None = arguments.last_run_from
    names = dict.fromkeys(
        ["VALIDATION", *(name for size in sizes for name in sets_of(size, start is not None))]
    )
    files = {name: make_data(folder, getattr(recipe, name), molecules, workers) for name in names}
    students: dict[str, Student] = {}
    for size in () if arguments.data_only else sizes:
        whole = recipe.RUNS[size][-1 if start else 0].legs[-1].until
        share = (arguments.steps or whole) / whole
        students[size] = make_student(
            size, folder, files, share, arguments.accelerator,
            start / f"{size}.safetensors" if start else None,
        )  # fmt: skip
        if arguments.no_test:
            students[size].card["status"] = "preliminary: the test set has not been looked at"
        judge({size: students[size]}, files["VALIDATION"], folder, "validation")
    return students


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for all of it")
    parser.add_argument("--size", choices=[*SIZES], action="append", help="only this size")
    parser.add_argument(
        "--steps", type=int, help="of each size's first run; the others in proportion"
    )
    parser.add_argument("--molecules", type=int, help="of each set, at most; for a trial")
    parser.add_argument("--accelerator", default="cpu", help="cpu (default) or gpu, to train on")
    parser.add_argument(
        "--last-run-from", type=Path, metavar="DIR",
        help="only the last run, from DIR's students, which have the others behind them",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, help="processes that label (default: one a core)")
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--data-only", action="store_true", help="label, and train nothing")
    extent.add_argument(
        "--no-test", action="store_true", help="leave the test set alone: more is to be trained"
    )
    extent.add_argument(
        "--judge", action="store_true", help="train nothing: only look at the test set"
    )
    arguments = parser.parse_args()
    folder: Path = arguments.out
    folder.mkdir(parents=True, exist_ok=True)
    limits = arguments.molecules, arguments.workers
    if arguments.judge:
        students = {size: trained(size, folder) for size in arguments.size or SIZES}
        for student in students.values():
            student.card.pop("status", None)
    else:
        students = make_students(folder, arguments, *limits)
    if arguments.data_only or arguments.no_test:
        return
    judge(students, make_data(folder, recipe.TEST, *limits), folder, "held_out")
    judge(students, make_data(folder, recipe.DRUG, *limits), folder, "one_drug")
    judge_energies(students, folder, *limits)


if __name__ == "__main__":
    main()
