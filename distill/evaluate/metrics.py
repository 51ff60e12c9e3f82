"""What is wrong with a student's forces and energies, in numbers.

All functions are plain numpy on plain arrays: forces (A, 3) in eV/Å, energies (M,) in eV. A number
that is not defined (R2 of constant data, an angle where no force is large enough) is NaN here and
null in ``report.json``.
"""

from typing import Any

import numpy as np

from distill.elements import symbols
from distill.evaluate.predict import Predictions

PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)

DIRECTION_THRESHOLD = 0.05
"""eV/Å. The direction of a smaller reference force is noise: angles leave it out."""


HEADLINE = ("force_rmse", "force_mae", "force_r2", "angular_error_deg", "energy_mae_per_atom")
"""The keys of a report that a student's card holds."""


def r2(reference: np.ndarray, predicted: np.ndarray) -> float:
    """1 - sum (p - r)^2 / sum (r - mean r)^2 over all entries; NaN when r is constant."""
    total = float(((reference - reference.mean()) ** 2).sum())
    return 1.0 - float(((predicted - reference) ** 2).sum()) / total if total > 0 else float("nan")


def angular_errors(reference: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(A,) angles in degrees between forces (A, 3); 90 where exactly one of the two is zero.

    By atan2 of cross and dot product, which stays exact for small angles where acos does not.
    """
    cross = np.linalg.norm(np.cross(reference, predicted), axis=1)
    dot = np.einsum("ij,ij->i", reference, predicted)
    angles = np.degrees(np.arctan2(cross, dot))
    one_zero = (reference**2).sum(1).astype(bool) != (predicted**2).sum(1).astype(bool)
    return np.where(one_zero, 90.0, angles)


def percentiles(values: np.ndarray) -> dict[str, float]:
    """The percentiles 50, 75, 90, 95, 99 and 99.9, keyed by their names."""
    return {f"{q:g}": float(np.percentile(values, q)) for q in PERCENTILES}


def force_metrics(
    reference: np.ndarray, predicted: np.ndarray, threshold: float = DIRECTION_THRESHOLD
) -> dict[str, Any]:
    """Errors of forces (A, 3), eV/Å.

    rmse, mae, max_error, r2: over the 3A components. rmse_vector: root mean square of the length
    of the error vector. error_percentiles: of the components' absolute errors, and of the vectors'
    lengths. cosine and angle (degrees): over the atoms whose reference force exceeds `threshold`,
    each with equal weight. magnitude: errors of |F| (predicted minus reference; bias is the mean).
    """
    error = predicted - reference
    length = np.linalg.norm(error, axis=1)
    size = np.linalg.norm(reference, axis=1)
    stretch = np.linalg.norm(predicted, axis=1) - size
    clear = size > threshold
    angles = angular_errors(reference[clear], predicted[clear])
    cosines = np.cos(np.radians(angles))
    nan = float("nan")
    return {
        "rmse": _rms(error),
        "mae": float(np.abs(error).mean()),
        "r2": r2(reference, predicted),
        "max_error": float(np.abs(error).max()),
        "rmse_vector": _rms(length),
        "mean_reference_force": float(size.mean()),
        "rms_reference_component": _rms(reference),
        "components": {
            axis: {
                "rmse": _rms(error[:, k]),
                "mae": float(np.abs(error[:, k]).mean()),
                "r2": r2(reference[:, k], predicted[:, k]),
            }
            for k, axis in enumerate("xyz")
        },
        "magnitude": {
            "rmse": _rms(stretch),
            "mae": float(np.abs(stretch).mean()),
            "bias": float(stretch.mean()),
            "r2": r2(size, size + stretch),
        },
        "direction": {
            "threshold": threshold,
            "atoms": int(clear.sum()),
            "share_of_atoms": float(clear.mean()),
            "cosine_mean": float(cosines.mean()) if clear.any() else nan,
            "cosine_median": float(np.median(cosines)) if clear.any() else nan,
            "angle_mean_deg": float(angles.mean()) if clear.any() else nan,
            "angle_median_deg": float(np.median(angles)) if clear.any() else nan,
            "angle_percentiles_deg": percentiles(angles) if clear.any() else {},
        },
        "error_percentiles": {
            "component": percentiles(np.abs(error)),
            "vector": percentiles(length),
        },
    }


def energy_metrics(
    reference: np.ndarray, predicted: np.ndarray, n_atoms: np.ndarray, names: tuple[str, ...]
) -> dict[str, Any]:
    """Errors of energies (M,), eV per atom (each frame's error divided by its number of atoms).

    mae_per_atom, rmse_per_atom, max_per_atom: of total energies as they are.
    relative_*: after the mean error of each molecule's frames is taken away, over the molecules
    that have at least two frames; what counts for dynamics, blind to a wrong formation energy.
    """
    error = (predicted - reference) / n_atoms
    relative, repeated = relative_errors(error, names)
    relative = relative[repeated]
    nan = float("nan")
    return {
        "mae_per_atom": float(np.abs(error).mean()),
        "rmse_per_atom": _rms(error),
        "max_per_atom": float(np.abs(error).max()),
        "bias_per_atom": float(error.mean()),
        "relative_mae_per_atom": float(np.abs(relative).mean()) if repeated.any() else nan,
        "relative_rmse_per_atom": _rms(relative) if repeated.any() else nan,
        "relative_frames": int(repeated.sum()),
    }


def relative_errors(error: np.ndarray, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Errors (M,) less their molecule's mean, and (M,) whether that molecule has two frames."""
    _, molecule, count = np.unique(names, return_inverse=True, return_counts=True)
    mean = np.bincount(molecule, weights=error) / count
    return error - mean[molecule], count[molecule] >= 2


def force_table(
    predictions: Predictions, labels: np.ndarray, threshold: float = DIRECTION_THRESHOLD
) -> dict[Any, dict[str, float]]:
    """Force errors of groups of atoms, `labels` (A,) says which: one row per label, sorted.

    Columns as in :func:`force_metrics`; r2 is about the group's own mean component.
    """
    reference, error = predictions.forces_ref, predictions.forces_pred - predictions.forces_ref
    keys, group, atoms = np.unique(labels, return_inverse=True, return_counts=True)
    size = np.linalg.norm(reference, axis=1)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(group, weights=values, minlength=len(keys)) / atoms

    square = mean((error**2).mean(1))
    spread = mean(((reference - mean(reference.mean(1))[group, None]) ** 2).mean(1))
    largest = np.zeros(len(keys))
    np.maximum.at(largest, group, np.abs(error).max(1))
    clear = size > threshold
    angles = np.where(clear, angular_errors(reference, predictions.forces_pred), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = {
            "rmse": np.sqrt(square),
            "mae": mean(np.abs(error).mean(1)),
            "r2": np.where(spread > 0, 1.0 - square / spread, np.nan),
            "max_error": largest,
            "mean_reference_force": mean(size),
            "angle_mean_deg": mean(angles) / mean(clear.astype(float)),
        }
    return {
        key.item(): {
            "atoms": int(atoms[k]),
            **{name: float(column[k]) for name, column in columns.items()},
        }
        for k, key in enumerate(keys)
    }


def frame_table(
    predictions: Predictions, labels: np.ndarray, threshold: float = DIRECTION_THRESHOLD
) -> dict[Any, dict[str, float]]:
    """Force and energy errors of groups of frames, `labels` (M,) says which.

    Columns: frames, those of :func:`force_table`, and the energy errors per atom in eV, as in
    :func:`energy_metrics`.
    """
    rows = force_table(predictions, labels[predictions.frame_of_atom], threshold)
    error = (predictions.energy_pred - predictions.energy_ref) / predictions.n_atoms
    relative, repeated = relative_errors(error, predictions.names)
    keys, group, frames = np.unique(labels, return_inverse=True, return_counts=True)
    n_relative = np.bincount(group, weights=repeated)
    with np.errstate(invalid="ignore"):
        mae = np.bincount(group, weights=np.abs(error)) / frames
        relative_mae = np.bincount(group, weights=np.abs(relative) * repeated) / n_relative
    return {
        key.item(): {
            "frames": int(frames[k]),
            **rows[key.item()],
            "energy_mae_per_atom": float(mae[k]),
            "energy_relative_mae_per_atom": float(relative_mae[k]),
        }
        for k, key in enumerate(keys)
    }


def compute_metrics(
    predictions: Predictions, threshold: float = DIRECTION_THRESHOLD
) -> dict[str, Any]:
    """All metrics of a set of predictions.

    The five headline figures (force_rmse, force_mae in eV/Å; force_r2; angular_error_deg, the mean
    angle over forces above `threshold`; energy_mae_per_atom in eV) and the sections forces,
    energies, per_element, per_molecule, per_temperature, per_source, and per_atom when all frames
    are of one molecule.
    """
    p = predictions
    forces = force_metrics(p.forces_ref, p.forces_pred, threshold)
    energies = energy_metrics(p.energy_ref, p.energy_pred, p.n_atoms, p.names)
    # the same width for all, so that text order is the order of numbers
    temperature = np.array(
        ["unknown" if np.isnan(t) else f"{t:6.1f} K" for t in p.temperature.tolist()]
    )
    source = np.array([s or "unknown" for s in p.source])
    metrics: dict[str, Any] = {
        "force_rmse": forces["rmse"],
        "force_mae": forces["mae"],
        "force_r2": forces["r2"],
        "angular_error_deg": forces["direction"]["angle_mean_deg"],
        "energy_mae_per_atom": energies["mae_per_atom"],
        "n_molecules": len(set(p.names)),
        "n_frames": p.n_frames,
        "n_atoms": int(p.n_atoms.sum()),
        "forces": forces,
        "energies": energies,
        "per_element": {
            symbols([z]): row for z, row in force_table(p, p.numbers, threshold).items()
        },
        "per_molecule": frame_table(p, np.array(p.names), threshold),
        "per_temperature": {
            key.strip(): row for key, row in frame_table(p, temperature, threshold).items()
        },
        "per_source": frame_table(p, source, threshold),
    }
    numbers = p.single_molecule()
    if numbers is not None:
        index = np.tile(np.arange(len(numbers)), p.n_frames)
        metrics["per_atom"] = {
            f"{symbols([numbers[k]])}{k}": row
            for k, row in force_table(p, index, threshold).items()
        }
    return metrics


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean()))
