"""Which architecture is worth its price? Every variant gets the same minutes on one thread.

    distill label drugs:train:200 --frames 10 -o build/train.h5
    distill label drugs:validation:30 --frames 10 -o build/valid.h5
    python benchmarks/architecture.py build/train.h5 build/valid.h5 -o build/architecture.json

Two variants train at a time. Prints the force error on the validation molecules (no scaffold of
which is in the training set) against the parameters and the flops that an atom costs.
"""

import argparse
import json
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from distill.bench.roofline import flops_per_atom
from distill.evaluate.report import provenance
from distill.pretrained.make import tame
from distill.student import SIZES, Student
from distill.student.config import StudentConfig
from distill.train.config import LEARNING_RATES, TrainConfig
from distill.train.kernel_step import KernelInput, KernelStep
from distill.train.load import load_graphs
from distill.train.step import Loss, parameters_of
from distill.train.train import fit_reference, train


def variants(size: str) -> dict[str, tuple[StudentConfig, str]]:
    """Name: architecture and optimizer. The first is the size as it is."""
    base = SIZES[size]
    return {
        "as it is": (base, "muon"),
        "AdamW": (base, "adamw"),
        "cutoff 4.5": (replace(base, cutoff=4.5), "muon"),
        "cutoff 6": (replace(base, cutoff=6.0), "muon"),
        "8 radial": (replace(base, n_radial=8), "muon"),
        "12 radial": (replace(base, n_radial=12), "muon"),
        "32 radial": (replace(base, n_radial=32), "muon"),
        "3 layers, narrower": (
            replace(base, layers=3, hidden={128: 128, 64: 48, 32: 16}[base.hidden]), "muon",
        ),
        "1 layer, wider": (replace(base, layers=1, hidden=base.hidden * 2), "muon"),
    }  # fmt: skip


def fit(job: tuple[str, str, dict, str, Path, Path, float, Path]) -> dict:
    """Trains one variant; its row of the table."""
    size, name, fields, optimizer, train_file, valid_file, minutes, folder = job
    torch.set_num_threads(1)
    config = StudentConfig.from_dict(fields)
    torch.manual_seed(0)
    student = Student(config)
    sets = [tame(load_graphs([path], student)) for path in (train_file, valid_file)]
    fit_reference(student, sets[0])
    out = folder / f"{size}-{name.replace(' ', '-').replace(',', '')}"
    shutil.rmtree(out, ignore_errors=True)
    options = TrainConfig(
        minutes=minutes, learning_rate=LEARNING_RATES[size], steps_per_epoch=500,
        max_valid=50, optimizer=optimizer,
    )  # fmt: skip
    started = time.monotonic()
    student = train(student, *sets, out, options, progress=False)
    seconds = time.monotonic() - started
    step, squares, atoms = KernelStep(student, Loss()), 0.0, 0
    for start in range(0, len(sets[1]), 8):
        batch = KernelInput.of(sets[1][start : start + 8])
        n = len(batch.forces)
        squares += float(step.validate(parameters_of(student), batch)[3]) * n
        atoms += n
    neighbours = float(np.mean([g.edge_index.shape[1] / len(g.numbers) for g in sets[1]]))
    steps = torch.load(out / "last.ckpt", weights_only=True)["distill"]["steps_done"]
    return {
        "size": size,
        "variant": name,
        "parameters": sum(p.numel() for p in parameters_of(student)),
        "flops_per_atom": flops_per_atom(config, neighbours),
        "steps": steps,
        "seconds": seconds,
        "force_rmse": float(np.sqrt(squares / atoms / 3)),
        "training_geometries": len(sets[0]),
        "validation_geometries": len(sets[1]),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("train", type=Path)
    parser.add_argument("valid", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--sizes", nargs="+", choices=[*SIZES], default=["tiny", "ultra-tiny"])
    parser.add_argument("--only", nargs="+", help="names of variants")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    folder = arguments.out.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        (size, name, config.as_dict(), optimizer, arguments.train, arguments.valid,
         arguments.minutes, folder)
        for size in arguments.sizes
        for name, (config, optimizer) in variants(size).items()
        if not arguments.only or name in arguments.only
    ]  # fmt: skip
    place = provenance()
    result = {key: place[key] for key in ("date", "machine", "versions")}
    result["minutes"] = arguments.minutes
    rows = []
    with ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool:
        for row in pool.map(fit, jobs):
            rows.append(row)
            print(json.dumps(row), flush=True)
            arguments.out.write_text(json.dumps({**result, "rows": rows}, indent=2) + "\n")
    table = Table("size", "variant", "parameters", "flops/atom", "steps", "force RMSE (eV/Å)")
    for r in rows:
        table.add_row(
            r["size"], r["variant"], f"{r['parameters']:,}", f"{r['flops_per_atom']:,.0f}",
            f"{r['steps']:,}", f"{r['force_rmse']:.4f}",
        )  # fmt: skip
    Console().print(result, table)


if __name__ == "__main__":
    main()
