"""The numbers that md.json takes from md.csv."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

MEANS = {
    "mean_temperature": "temperature_k",
    "ligand_temperature": "ligand_temperature_k",
    "rest_temperature": "rest_temperature_k",
    "density_g_per_cm3": "density_g_per_cm3",
    "volume_nm3": "volume_nm3",
}


def columns(table: Path) -> dict[str, np.ndarray]:
    """md.csv by column, (F,) each; NaN where there is nothing."""
    with table.open() as file:
        rows = list(csv.DictReader(file))
    names = rows[0].keys() if rows else ()
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in names}


def summary(table: Path, without: float = 0.0) -> dict[str, Any]:
    """Frames; means over them (K, g/cm3, nm3), ``without`` their first part (a fifth: 0.2), where
    there is something; the force error to be expected, as a root mean square (eV/Å)."""
    found = columns(table)
    result: dict[str, Any] = {"frames": len(found.get("step", ()))}
    for name, column in MEANS.items():
        values = found.get(column, np.empty(0))
        values = values[int(without * len(values)) :]
        if len(values) and np.isfinite(values).all():
            result[name] = float(values.mean())
    doubt = found.get("uncertainty_ev_per_angstrom", np.empty(0))
    if len(doubt) and np.isfinite(doubt).all():
        result["uncertainty"] = float(np.sqrt((doubt**2).mean()))
    return result
