"""What MD runs of many molecules come to."""

import numpy as np


def summary(molecules: dict[str, dict]) -> dict:
    """Molecules that stayed whole at each temperature, and the largest drift."""
    runs: dict[str, list[dict]] = {}
    for molecule in molecules.values():
        for temperature, run in molecule["langevin"].items():
            runs.setdefault(temperature, []).append(run)
    drifts = [abs(m["nve"]["drift_mev_per_atom_per_ps"]) for m in molecules.values()]
    return {
        **{
            f"whole at {kelvin}": f"{sum(r['broken_bonds'] == 0 for r in those)} of {len(those)}"
            for kelvin, those in runs.items()
        },
        "largest drift (meV/atom/ps)": max(drifts),
        "median drift (meV/atom/ps)": float(np.median(drifts)),
    }


def of_bonds(longest: np.ndarray) -> dict:
    """longest (B,): the longest that each bond became, relative to the start."""
    return {
        "bonds": len(longest),
        "broken_bonds": int((longest > 1.5).sum() + (~np.isfinite(longest)).sum()),
        "longest_relative_bond": float(longest.max()),
    }


def drift(picoseconds: float, times: np.ndarray, energies: np.ndarray) -> dict:
    """Of an NVE run: times (T,) in ps, total energies (T,) in eV an atom."""
    slope, _ = np.polyfit(times, energies, 1)
    return {
        "picoseconds": picoseconds,
        "drift_mev_per_atom_per_ps": 1000 * float(slope),
        "fluctuation_mev_per_atom": 1000 * float(np.std(energies)),
    }
