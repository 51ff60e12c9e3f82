"""Sizes and budgets."""

import json

import pytest

from distill import DistillError
from distill.elements import ELEMENTS
from distill.student import SIZES, Student, StudentConfig

BUDGETS = {"original": 427_292, "tiny": 77_203, "ultra-tiny": 21_459}


@pytest.mark.parametrize("size", BUDGETS)
def test_parameters_keep_to_the_budget(size):
    student = Student.untrained(size)
    assert sum(p.numel() for p in student.parameters() if p.requires_grad) <= BUDGETS[size]


def test_the_sizes_are_the_designs():
    shape = {name: (c.hidden, c.layers) for name, c in SIZES.items()}
    assert shape == {"original": (128, 3), "tiny": (64, 2), "ultra-tiny": (32, 2)}
    assert all(c.elements == ELEMENTS and c.size == name for name, c in SIZES.items())


@pytest.mark.parametrize("size", SIZES)
def test_json_round_trip(size):
    fields = json.loads(json.dumps(SIZES[size].as_dict()))
    assert StudentConfig.from_dict(fields) == SIZES[size]


@pytest.mark.parametrize(
    "wrong",
    [
        {"hidden": 24},
        {"hidden": 0},
        {"layers": 0},
        {"n_radial": 0},
        {"cutoff": -5.0},
        {"elements": ()},
        {"elements": (1, 6, 6)},
    ],
)
def test_impossible_architectures_are_refused(wrong):
    with pytest.raises(DistillError):
        StudentConfig(**{"size": "mine", "hidden": 64, "layers": 2, **wrong})
