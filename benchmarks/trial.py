"""Students of a few minutes that differ in one thing: their errors, and a page of them."""

from collections.abc import Sequence
from typing import Any

from distill.evaluate.frames import LabelledFrame
from distill.evaluate.metrics import compute_metrics
from distill.evaluate.predict import predict
from distill.student import Student


def errors_of(student: Student, frames: Sequence[LabelledFrame]) -> dict[str, float]:
    """Of forces (eV/Å), and of energies within a molecule (eV/atom)."""
    report = compute_metrics(predict(student, frames, progress=False))
    return {
        "force_mae": report["force_mae"],
        "force_rmse": report["force_rmse"],
        "energy_rmse_within_a_molecule": report["energies"]["relative_rmse_per_atom"],
    }


def page(title: str, script: str, size: str, results: dict[str, Any]) -> str:
    """Markdown. results: steps, runs (errors and the number of labels), and a provenance."""
    lines = [
        f"# {title}\n",
        f"`benchmarks/{script}`: `{size}`, {results['steps']:,} steps each, judged on the "
        f"validation drugs. {results['date']}, {results['machine']['cpu']}, torch "
        f"{results['versions']['torch']}.\n",
        "| what | labels | force MAE (meV/Å) | force RMSE (meV/Å) | energy within a molecule, "
        "RMSE (meV/atom) |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {r['labels']:,} | {1e3 * r['force_mae']:.1f} | {1e3 * r['force_rmse']:.1f} "
        f"| {1e3 * r['energy_rmse_within_a_molecule']:.2f} |"
        for name, r in results["runs"].items()
    ]
    return "\n".join(lines) + "\n"
