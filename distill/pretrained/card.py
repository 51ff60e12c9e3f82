"""What a shipped student's card says of its making and its errors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill.data.dataset import Dataset
from distill.evaluate.metrics import HEADLINE


def training_set(files: Sequence[Path], geometries: int) -> dict[str, Any]:
    """Molecules and geometries of each dataset file, and how they were told from the test set."""
    found: dict[str, Any] = {}
    for file in files:
        with Dataset.open(file) as dataset:
            found[file.stem] = f"{len(dataset)} molecules, {dataset.frames} geometries"
    return {
        **found,
        "geometries": geometries,
        "split": "Bemis-Murcko scaffolds",
    }


def charges(files: Sequence[Path]) -> list[int]:
    """Of the molecules in the files, each once."""
    found: set[int] = set()
    for file in files:
        with Dataset.open(file) as dataset:
            found |= {int(molecule.charge) for molecule in dataset}
    return sorted(found)


def errors(report: dict[str, Any]) -> dict[str, Any]:
    """Those on a set of frames, whole and by temperature, element and source of the geometry."""

    def rmse(table: str) -> dict[str, float]:
        return {key: round(row["rmse"], 4) for key, row in report[table].items()}

    names = list(report["per_molecule"])
    return {
        "set": names[0] if len(names) == 1 else "drugs of scaffolds not trained on",
        "molecules": report["n_molecules"],
        "geometries": report["n_frames"],
        **{key: report[key] for key in HEADLINE},
        "energy_rmse_within_a_molecule": report["energies"]["relative_rmse_per_atom"],
        "force_rmse_by_temperature": rmse("per_temperature"),
        "force_rmse_by_element": rmse("per_element"),
        "force_rmse_by_source": rmse("per_source"),
    }
