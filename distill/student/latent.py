"""How unlike its training set an atom looks to a student, and what that says of its forces.

The last scalars of an atom, which the readout turns into its energy, are compared with the training
set's: Mahalanobis distances from the mean of the atom's element, by one covariance for all elements
(a distance in latent space: Janet, Duan, Yang, Nandy, Kulik, Chem. Sci. 10, 7913 (2019)). On
molecules set aside the force error goes with a power of it, which is fitted.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.elements import symbols

if TYPE_CHECKING:
    from distill.student.student import Student

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Latent:
    """mean (Z, F) float64, NaN for elements that the training set did not have; whitening (F, F).

    An atom at distance d has a force error of about ``scale * d**power`` eV/Å; beyond ``limit``
    there was hardly an atom of the molecules set aside.
    """

    mean: Tensor
    whitening: Tensor
    scale: float
    power: float
    limit: float

    def distances(self, scalars: Tensor, species: Tensor) -> Tensor:
        """(N,) float64 from the last scalars (N, F) and the elements' indices (N,)."""
        away = scalars.detach().cpu().double() - self.mean[species.cpu()]
        return ((away @ self.whitening) ** 2).mean(1).sqrt()

    def errors(self, distances: Any) -> Array:
        """Expected force errors (N,) in eV/Å; infinite for what was never seen."""
        found = np.nan_to_num(np.asarray(distances, dtype=np.float64), nan=np.inf)
        return np.asarray(self.scale * found**self.power)

    def strange(self, distances: Any) -> NDArray[np.int64]:
        """The atoms beyond the limit."""
        return np.flatnonzero(~(np.asarray(distances) <= self.limit))

    def packed(self, dtype: str) -> NDArray[Any]:
        """As the kernel takes it: means, then the whitening (in, out)."""
        flat = torch.cat([self.mean.reshape(-1), self.whitening.reshape(-1)])
        return flat.numpy().astype(dtype)

    # -- in a file ---------------------------------------------------------------------------------
    def tensors(self) -> dict[str, Tensor]:
        """In float32."""
        return {"latent.mean": self.mean.float(), "latent.whitening": self.whitening.float()}

    def fields(self) -> dict[str, float]:
        """For the card."""
        return {"scale": self.scale, "power": self.power, "limit": self.limit}

    @classmethod
    def from_file(cls, tensors: dict[str, Tensor], fields: dict[str, Any] | None) -> Latent | None:
        """Takes its tensors out of those of a file; None when there are none."""
        mean, whitening = (tensors.pop(f"latent.{k}", None) for k in ("mean", "whitening"))
        if mean is None or whitening is None or fields is None:
            return None
        numbers = {key: float(fields[key]) for key in ("scale", "power", "limit")}
        return cls(mean.double(), whitening.double(), **numbers)


class Alarm:
    """Warns, once, when an atom is unlike all that a student has learned."""

    def __init__(self, latent: Latent) -> None:
        self.latent = latent
        self.rung = False

    def __call__(self, distances: Any, numbers: NDArray[np.int64]) -> None:
        """distances (N,) of the latent space, atomic numbers (N,)."""
        if self.rung:
            return
        strange = self.latent.strange(distances)
        if not len(strange):
            return
        self.rung = True
        some = ", ".join(f"{i} ({symbols([numbers[i]])})" for i in strange[:5])
        warnings.warn(
            f"{len(strange)} of {len(numbers)} atoms are unlike all that the student has learned: "
            f"{some}{', ...' if len(strange) > 5 else ''}. Do not trust these forces; train a "
            "student on such geometries.",
            stacklevel=4,
        )


def rms(errors: Array) -> float:
    """Of a geometry, from those of its atoms (N,)."""
    return float(np.sqrt((errors**2).mean()))


@contextmanager
def last_scalars(student: Student) -> Iterator[list[Tensor]]:
    """A list that each evaluation of the student in eager torch appends its last scalars to."""
    found: list[Tensor] = []
    hook = student.painn.readout.register_forward_pre_hook(
        lambda module, arguments: found.append(arguments[0].detach())
    )
    try:
        yield found
    finally:
        hook.remove()
