"""Autograd as it usually is, whatever mode of torch the caller is in."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def as_usual(device_type: str) -> Iterator[None]:
    """Leaves ``torch.inference_mode``, where nothing has a gradient, and ``torch.autocast``, where
    the dense layers would be computed in 16 bits; the caller's grad mode is put back."""
    with (
        torch.inference_mode(False),
        torch.set_grad_enabled(torch.is_grad_enabled()),
        torch.autocast(device_type, enabled=False),
    ):
        yield


def usual(x: Tensor) -> Tensor:
    """The tensor, or a copy of one from inference mode, which autograd does not take."""
    return x.clone() if x.is_inference() else x
