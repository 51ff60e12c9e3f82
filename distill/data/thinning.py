"""Thinning: geometries that are nearly the same teach nearly the same, at full price."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist, pdist


def thin(
    positions: np.ndarray, threshold: float = 0.02, against: np.ndarray | None = None
) -> np.ndarray:
    """Indices (K,) of the geometries to keep out of ``positions`` (M, N, 3) in Å.

    Two geometries of one molecule are duplicates when the root mean square difference of
    their interatomic distances is below ``threshold`` Å; of duplicates the first is kept, and
    none that duplicates a geometry in ``against`` (L, N, 3). Moving, turning or mirroring a
    geometry changes nothing.
    """
    features = _distances(positions)
    known = np.empty((0, features.shape[1])) if against is None else _distances(against)
    near = np.zeros(len(features), dtype=bool)
    if len(known):
        near = cdist(features, known).min(axis=1) < threshold
    kept: list[int] = []
    for k in range(len(features)):
        if near[k]:
            continue
        if kept and cdist(features[k : k + 1], features[kept]).min() < threshold:
            continue
        kept.append(k)
    return np.array(kept, dtype=int)


def _distances(positions: np.ndarray) -> np.ndarray:
    """The interatomic distances (M, pairs), scaled so that their Euclidean distance is an RMS."""
    rows = [pdist(p) for p in np.asarray(positions, dtype=float)]
    pairs = len(rows[0]) if rows else 0
    return np.array(rows).reshape(len(rows), pairs) / np.sqrt(max(pairs, 1))
