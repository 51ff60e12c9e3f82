"""The radial functions against their formulas."""

import numpy as np
import pytest
import torch

from distill.student.radial import BesselBasis, cutoff_envelope, held


def test_bessel_functions():
    basis = BesselBasis(6, 4.5).double()
    r = torch.linspace(0.4, 4.5, 50, dtype=torch.float64)
    n = np.arange(1, 7)
    expected = np.sqrt(2 / 4.5) * np.sin(n * np.pi * r.numpy()[:, None] / 4.5) / r.numpy()[:, None]
    np.testing.assert_allclose(basis(r), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("x", "value"), [(1e-9, 1.0), (1.0, 0.0)])
def test_the_envelope_is_flat_at_both_ends(x, value):
    x = torch.tensor([x], dtype=torch.float64, requires_grad=True)
    y = cutoff_envelope(x)
    slope = torch.autograd.grad(y, x, create_graph=True)[0]
    bend = torch.autograd.grad(slope, x)[0]
    assert y.item() == pytest.approx(value, abs=1e-8)
    assert slope.item() == pytest.approx(0.0, abs=1e-8)
    assert bend.item() == pytest.approx(0.0, abs=1e-6)


def test_the_envelope_falls_and_stays_zero():
    x = torch.linspace(0.0, 1.5, 200, dtype=torch.float64)
    y = cutoff_envelope(x)
    assert torch.all(y.diff() <= 0)
    assert torch.all(y[x >= 1] == 0)


def test_distances_are_held_only_where_no_data_is():
    r = torch.linspace(0.0, 5.0, 5001, dtype=torch.float64)
    seen = held(r)
    assert seen.min() > 0.55
    assert (seen - r)[r >= 0.7].abs().max() < 1e-4
    assert (seen - r)[r >= 0.8].abs().max() < 1e-7
