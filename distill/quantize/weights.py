"""Weights in 8 or 16 bits in the file; every engine runs on what they stand for.

INT8: each row of a weight matrix, what one output of a layer is made from, is a scale times whole
numbers from -127 to 127 (symmetric, per channel). Biases and reference energies stay as they are:
they are few, and energies are hundreds of eV. Distances, filters, sums and forces are computed
in floating point: a force is a derivative, and the derivative of a staircase is zero.
"""

import torch
from torch import Tensor

PRECISIONS = ("float32", "float16", "bfloat16", "int8")
SCALE = ".int8_scale"
"""Behind the name of a matrix: the tensor with its rows' scales."""

Tensors = dict[str, Tensor]


def pack(tensors: Tensors, precision: str, scales: Tensors | None = None) -> Tensors:
    """The tensors of a student file in one of PRECISIONS.

    scales: of the rows of matrices in INT8, by name, where they are known; others are searched.
    """
    known = scales or {}
    if precision == "float32":
        return dict(tensors)
    packed: Tensors = {}
    for name, x in tensors.items():
        if name.startswith("latent."):
            packed[name] = x.half()  # of the uncertainty, which is an estimate
        elif x.dtype == torch.float64 or (precision == "int8" and x.dim() != 2):
            packed[name] = x
        elif precision == "int8":
            packed[name], packed[name + SCALE] = quantize_rows(x, known.get(name))
        else:
            packed[name] = x.to(getattr(torch, precision))
    return packed


def unpack(tensors: Tensors) -> Tensors:
    """The tensors in float32 (float64 where they were in that)."""
    found: Tensors = {}
    for name, x in tensors.items():
        if name.endswith(SCALE):
            continue
        if name + SCALE in tensors:
            x = x.float() * tensors[name + SCALE].float()[:, None]
        found[name] = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    return found


def quantize_rows(x: Tensor, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Whole numbers (R, C) int8 and scales (R,) of a matrix; without scales, those with the least
    squared error."""
    found = best_scales(x) if scale is None else scale.float()
    whole = levels(x, found).to(torch.int8)
    half = found.half()
    return whole, half if torch.equal(half.float(), found) else found


def best_scales(x: Tensor) -> Tensor:
    """(R,) float32, of the rows of a matrix (R, C)."""
    largest = x.abs().amax(1)
    best, scales = torch.full_like(largest, torch.inf), torch.ones_like(largest)
    for shrink in torch.linspace(0.7, 1.0, 31):
        scale = storable(shrink * largest / 127)
        error = ((levels(x, scale) * scale[:, None] - x) ** 2).sum(1)
        scales = torch.where(error < best, scale, scales)
        best = torch.minimum(error, best)
    return scales


def levels(x: Tensor, scale: Tensor) -> Tensor:
    """The nearest of the 255 whole numbers."""
    return (x / scale[:, None]).round().clamp(-127, 127)


def storable(scale: Tensor) -> Tensor:
    """Scales as float16 has them; not those too small for it, and never zero."""
    half = scale.half().float()
    scale = torch.where(half > 2.0**-14, half, scale)
    return torch.where(scale > 0, scale, torch.ones_like(scale))
