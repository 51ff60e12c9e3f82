"""Filters as quintic splines: the coefficients, fitted once when a student is packed.

A filter of PaiNN depends on the distance alone, so it is tabulated. Between two of the equidistant
knots it is the sum of six B-splines times six consecutive rows of a table; its derivative is that
of the splines, so that forces stay the exact derivatives of the energy that is computed.
"""

import torch
from torch import Tensor, nn

from distill.kernels.weights import INTERVALS as kernels_intervals
from distill.student.radial import BesselBasis, cutoff_envelope, held

INTERVALS = kernels_intervals["float32"]
"""Between zero and the cutoff, as in the CPU's kernel."""


def b_splines(t: Tensor) -> Tensor:
    """(n, 6): the B-splines that are not zero at t (n,) in [0, 1] between two knots."""
    s = 1 - t
    columns = [
        s**5,
        26 - 50 * t + 20 * t**2 + 20 * t**3 - 20 * t**4 + 5 * t**5,
        66 - 60 * t**2 + 30 * t**4 - 10 * t**5,
        26 + 50 * t + 20 * t**2 - 20 * t**3 - 20 * t**4 + 10 * t**5,
        1 + 5 * t + 10 * t**2 + 10 * t**3 + 5 * t**4 - 5 * t**5,
        t**5,
    ]
    return torch.stack(columns, dim=-1) / 120


def basis_splines(basis: BesselBasis, intervals: int = INTERVALS) -> Tensor:
    """Coefficients (intervals + 5, n_radial + 1) float64 of what every filter is linear in.

    That is each Bessel function times the cutoff function, and the cutoff function alone. Least
    squares over five points of an interval; at the cutoff value, slope and curvature are zero.
    """
    points = 5
    t = (torch.arange(points, dtype=torch.float64) + 0.5) / points
    first = torch.arange(intervals).repeat_interleave(points)
    t = t.repeat(intervals)
    r = held((first + t) * (basis.cutoff / intervals))
    envelope = cutoff_envelope(r / basis.cutoff).unsqueeze(-1)
    wanted = torch.cat([basis(r) * envelope, envelope], dim=-1)

    rows = intervals + 5
    matrix = torch.zeros(len(r), rows, dtype=torch.float64)
    matrix.scatter_(1, first.unsqueeze(1) + torch.arange(6), b_splines(t))
    # B-splines at a knot: value, slope and curvature, here of the last knot's six
    end = torch.zeros(3, rows, dtype=torch.float64)
    end[0, -5:] = torch.tensor([1, 26, 66, 26, 1], dtype=torch.float64) / 120
    end[1, -5:] = torch.tensor([-1, -10, 0, 10, 1], dtype=torch.float64) / 24
    end[2, -5:] = torch.tensor([1, 2, -6, 2, 1], dtype=torch.float64) / 6
    weight = 3e3  # far above the points', so that the end is exact in float32
    matrix = torch.cat([matrix, weight * end])
    wanted = torch.cat([wanted, torch.zeros(3, wanted.shape[1], dtype=torch.float64)])
    return torch.linalg.lstsq(matrix, wanted).solution


def filter_table(filters: nn.Linear, splines: Tensor) -> Tensor:
    """(intervals + 5, parts * hidden) float64: the splines of a message block's filters."""
    weight, bias = filters.weight.double(), filters.bias.double()
    return splines @ torch.cat([weight.t(), bias.unsqueeze(0)])
