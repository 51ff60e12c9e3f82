"""Radial functions: the Bessel basis and the smooth cutoff."""

import math

import torch
from torch import Tensor

from distill.student.precise import PreciseBuffers


def cutoff_envelope(x: Tensor) -> Tensor:
    """(1 - x)^3 (1 + 3x + 6x^2) for x = r / cutoff, zero from x = 1 on.

    Its first and second derivatives vanish at both ends, so energy, forces and Hessian are
    continuous when an atom crosses the cutoff. x and the result: (E,).
    """
    x = x.clamp(max=1.0)
    return (1.0 - x) ** 3 * (1.0 + x * (3.0 + 6.0 * x))


def held(r: Tensor) -> Tensor:
    """The distance that filters see: r (E,) in Å, but never below 0.55.

    What filters make of distances that no data has (H-H is 0.74 Å long) is anything, and once it
    was minima of a thousand eV for a minimizer to fall into. Held so, the repulsion of the nuclei
    rules there (`distill.student.zbl`). From 0.7 Å on it is r, but for 1e-4 Å.
    """
    return r + 0.58 * torch.exp(-((r / 0.4) ** 4))


class BesselBasis(PreciseBuffers):
    """sqrt(2 / c) sin(n pi r / c) / r, n = 1..n_radial (Gasteiger et al., ICLR 2020)."""

    frequencies: Tensor

    def __init__(self, n_radial: int, cutoff: float):
        super().__init__()
        self.norm = math.sqrt(2.0 / cutoff)
        frequencies = torch.arange(1, n_radial + 1, dtype=torch.float64) * (math.pi / cutoff)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.n_radial = n_radial
        self.cutoff = cutoff

    def forward(self, r: Tensor) -> Tensor:
        """r (E,) in Å -> (E, n_radial)."""
        r = r.unsqueeze(-1)
        return self.norm * torch.sin(r * self.frequencies.to(r.dtype)) / r
