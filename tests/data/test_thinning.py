"""Thinning drops what is the same geometry, however it is turned, and nothing else."""

import numpy as np
from scipy.spatial.transform import Rotation

from distill.data.thinning import thin


def test_copies_turned_moved_or_mirrored_are_dropped(rng: np.random.Generator) -> None:
    shapes = rng.normal(0, 2, (3, 8, 3))
    turned = Rotation.random(random_state=1).apply(shapes[0]) + 5.0
    mirrored = shapes[1] * np.array([1, 1, -1])
    nearly = shapes[2] + rng.normal(0, 1e-3, (8, 3))
    kept = thin(np.stack([*shapes, turned, mirrored, nearly]), threshold=0.02)
    assert kept.tolist() == [0, 1, 2]


def test_different_geometries_are_kept(rng: np.random.Generator) -> None:
    shape = rng.normal(0, 2, (8, 3))
    shaken = shape + rng.normal(0, 0.1, (20, 8, 3))
    assert len(thin(shaken, threshold=0.02)) == 20


def test_what_is_known_already_is_dropped(rng: np.random.Generator) -> None:
    shapes = rng.normal(0, 2, (4, 8, 3))
    assert thin(shapes, against=shapes[[1, 3]] + 1.0).tolist() == [0, 2]


def test_small_and_empty_sets() -> None:
    assert thin(np.zeros((0, 5, 3))).tolist() == []
    assert thin(np.zeros((2, 1, 3))).tolist() == [0]  # an isolated atom has one geometry
