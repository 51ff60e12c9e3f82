"""Muon on many matrices at once, against singular value decompositions and torch's own Muon."""

import copy

import pytest
import torch

from distill.student import Student
from distill.train.muon import ITERATIONS, A, B, C, Muon, orthogonal


def by_svd(matrix: torch.Tensor) -> torch.Tensor:
    """The iterations act on the singular values alone."""
    u, s, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    s = s / s.square().sum().sqrt()
    for _ in range(ITERATIONS):
        s = A * s + B * s**3 + C * s**5
    return u * s @ v


@pytest.mark.parametrize(
    "shapes", [[(32, 32)], [(64, 16), (16, 64), (16, 16)], [(1, 16), (96, 32), (32, 20), (3, 1)]]
)
def test_singular_values(shapes):
    torch.manual_seed(0)
    matrices = [torch.randn(shape) for shape in shapes]
    for matrix, found in zip(matrices, orthogonal(matrices)):
        assert found.shape == matrix.shape
        expected = by_svd(matrix)
        assert (found - expected).norm() < 1e-3 * expected.norm()


def test_singular_and_zero_matrices_stay_finite():
    one = torch.outer(torch.arange(1.0, 33.0), torch.ones(64))
    flat, zero = orthogonal([one, torch.zeros(32, 64)])
    expected = by_svd(one)
    assert (flat - expected).norm() < 1e-3 * expected.norm()
    assert torch.equal(zero, torch.zeros(32, 64))


@pytest.mark.parametrize("weight_decay", [0.0, 20.0])
def test_steps_are_those_of_torch(weight_decay):
    torch.manual_seed(0)
    ours = [p for p in Student.untrained("ultra-tiny").painn.parameters() if p.ndim == 2]
    theirs, start = copy.deepcopy(ours), copy.deepcopy(ours)
    mine = Muon(ours, lr=2e-3, weight_decay=weight_decay)
    other = torch.optim.Muon(
        theirs, lr=2e-3, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
    )
    for _ in range(3):
        for a, b in zip(ours, theirs):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        mine.step()
        other.step()
    for a, b, at_first in zip(ours, theirs, start):
        # torch iterates in bfloat16
        assert (a - b).norm() < 0.03 * (a - at_first).norm()
