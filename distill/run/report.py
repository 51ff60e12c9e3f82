"""What a run's report.json says beside the errors of the check."""

import json
import math
from dataclasses import asdict
from typing import Any

from distill.data.dataset import Dataset
from distill.run.few import LEARNING_CURVE
from distill.run.job import Job
from distill.run.labels import cost
from distill.train.curve import errors_by_labels, plot_labels

COLUMNS = {
    "frames": "frames",
    "force_rmse": "rmse",
    "force_mae": "mae",
    "force_r2": "r2",
    "angular_error_deg": "angle_mean_deg",
    "energy_mae_per_atom": "energy_mae_per_atom",
    "energy_relative_mae_per_atom": "energy_relative_mae_per_atom",
}
"""Our names, and those in the report's table of molecules."""


def results(
    job: Job, report: dict[str, Any], md: list[dict[str, Any]], origin: str
) -> dict[str, Any]:
    """labels, learning_curve, seconds_per_label (None where unknown), molecules (name, smiles,
    atoms, charge, labels, the errors on their frames of the check, md and its folder), run, and of
    one molecule alone md."""
    out = job.folder.path
    with Dataset.open(out / "dataset.h5") as dataset:
        labels, seconds = cost(dataset)
        each = {name: len(dataset[name]) for name in dataset.molecules}
    molecules = []
    for molecule, moved in zip(job.series.molecules, md, strict=True):
        row = report["per_molecule"].get(molecule.name, {})
        molecules.append(
            {
                "name": molecule.name,
                "smiles": molecule.smiles,
                "atoms": len(molecule),
                "charge": molecule.charge,
                "labels": each.get(molecule.name, 0),
                **{ours: row.get(theirs) for ours, theirs in COLUMNS.items()},
                "md": moved,
                "folder": str(job.series.folder(molecule, out).relative_to(out)),
            }
        )
    return {
        "labels": labels,
        "learning_curve": learning_curve(job),
        "seconds_per_label": seconds if math.isfinite(seconds) else None,
        "molecules": molecules,
        **({"md": md[0]} if job.series.alone else {}),
        "run": {
            **asdict(job.settings),
            "seconds": job.clock.spent(),
            "waited": job.clock.waited,
            "origin": origin,
        },
    }


def learning_curve(job: Job) -> list[dict[str, float]]:
    """How the force error on labels not learned (``force_rmse``, eV/Å) fell with their number
    (``labels``); it is drawn, too."""
    work = job.folder.path / "work"
    try:
        found: list[dict[str, float]] = json.loads((work / LEARNING_CURVE).read_text())
    except (OSError, ValueError):
        found = errors_by_labels(work / "train" / "metrics.csv")
    found = [point for point in found if math.isfinite(point["force_rmse"])]
    if len(found) > 1:
        try:
            plot_labels(found, job.folder.path / "learning_curve.png")
        except Exception as error:  # a picture must not cost the run
            job.say(f"The learning curve could not be drawn: {error}")
    return found


def shown(value: float | None, digits: int) -> str:
    """A figure of a report, which may not be defined: one atom has no forces to be told apart."""
    return "n/a" if value is None else f"{value:.{digits}f}"
