"""Constants that keep their precision when a module changes its own."""

from collections.abc import Callable

from torch import Tensor, nn


class PreciseBuffers(nn.Module):
    """A module whose float64 buffers move between devices, but are never rounded.

    So a student that is made or read in float32 and then turned to float64 is the exact one.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "PreciseBuffers":
        kept = [(name, x) for name, x in self.named_buffers(recurse=False) if x.dtype.itemsize == 8]
        super()._apply(fn, recurse)
        for name, x in kept:
            setattr(self, name, x.to(getattr(self, name).device))
        return self
