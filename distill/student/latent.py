"""How unlike its training set an atom looks to a student, and what that says of its forces.

The last scalars of an atom, which the readout turns into its energy, are compared with the training
set's: Mahalanobis distances from the mean of the atom's element, by one covariance for all elements
(a distance in latent space: Janet, Duan, Yang, Nandy, Kulik, Chem. Sci. 10, 7913 (2019)). On
molecules set aside the force error goes with a power of it, which is fitted.

Molecules of another kind than all of the training set may lie within these distances nevertheless;
of those, what atoms are bonded to tells: see :mod:`distill.student.environments`.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.elements import symbols
from distill.student import environments

if TYPE_CHECKING:
    from distill.student.student import Student

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Latent:
    """mean (Z, F) float64, NaN for elements that the training set did not have; whitening (F, F).

    An atom at distance d has a force error of about ``scale * d**power`` eV/Å; beyond ``limit``
    there was hardly an atom of the molecules set aside. environments: what the training set's atoms
    were bonded to, None where that was not written down.
    """

    mean: Tensor
    whitening: Tensor
    scale: float
    power: float
    limit: float
    environments: frozenset[str] | None = None

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

    def fields(self) -> dict[str, Any]:
        """For the card."""
        found: dict[str, Any] = {"scale": self.scale, "power": self.power, "limit": self.limit}
        if self.environments is not None:
            found["environments"] = environments.packed(self.environments)
        return found

    @classmethod
    def from_file(cls, tensors: dict[str, Tensor], fields: dict[str, Any] | None) -> Latent | None:
        """Takes its tensors out of those of a file; None when there are none."""
        mean, whitening = (tensors.pop(f"latent.{k}", None) for k in ("mean", "whitening"))
        if mean is None or whitening is None or fields is None:
            return None
        numbers = {key: float(fields[key]) for key in ("scale", "power", "limit")}
        known = fields.get("environments")
        seen = None if known is None else environments.unpacked(known)
        return cls(mean.double(), whitening.double(), **numbers, environments=seen)


class Alarm:
    """Warns when an atom is unlike all that a student has learned: at the first geometry with such
    an atom, and again when their number has grown tenfold.

    looked, strange: how many geometries it was shown, and how many of them had such an atom.
    atoms: how often each atom was one, by its index and symbol, as in "5 (N)".
    """

    MOVED = 0.5
    """Å that an atom moves before it is looked at what it is bonded to, which takes longer."""

    def __init__(self, latent: Latent) -> None:
        self.latent = latent
        self.looked = self.strange = 0
        self.atoms: Counter[str] = Counter()
        self._next = 1
        self._seen: tuple[NDArray[np.int64], Array] | None = None
        self._unseen: dict[int, str] = {}

    def __call__(
        self, distances: Any, numbers: NDArray[np.int64], positions: Any = None,
        cell: Any = None, pbc: Any = False,
    ) -> None:  # fmt: skip
        """Counts one geometry, and may warn: see :meth:`look`."""
        strange = self.look(distances, numbers, positions, cell, pbc)
        if not strange or self.strange < self._next:
            return
        self._next *= 10
        some = ", ".join(strange[:5]) + (", ..." if len(strange) > 5 else "")
        often = "." if self.strange == 1 else f": {self}."
        warnings.warn(
            f"{len(strange)} of {len(numbers)} atoms are unlike all that the student has learned: "
            f"{some}. Do not trust these forces{often} Train a student on such geometries.",
            stacklevel=4,
        )

    def look(
        self, distances: Any, numbers: NDArray[np.int64], positions: Any = None,
        cell: Any = None, pbc: Any = False,
    ) -> list[str]:  # fmt: skip
        """Counts one geometry; its atoms that are unlike all that the student has learned.

        distances (N,) of the latent space, atomic numbers (N,); positions (N, 3) and cell (3, 3) in
        Å, for what the atoms are bonded to.
        """
        self.looked += 1
        found = set(self.latent.strange(distances).tolist())
        if positions is not None and self.latent.environments is not None:
            self._look_at_bonds(numbers, np.asarray(positions), cell, pbc)
            found.update(self._unseen)
        if not found:
            return []
        self.strange += 1
        self.atoms.update(f"{i} ({symbols([numbers[i]])})" for i in found)
        return [
            f"{i} ({symbols([numbers[i]])}{', ' * (i in self._unseen)}{self._unseen.get(i, '')})"
            for i in sorted(found)
        ]

    def forget(self) -> None:
        """The next geometry's bonds are looked at, however little its atoms have moved."""
        self._seen = None

    def _look_at_bonds(
        self, numbers: NDArray[np.int64], positions: Array, cell: Any, pbc: Any
    ) -> None:
        """Finds the atoms that are bonded to other elements than ever, unless hardly one moved."""
        if self._seen is not None:
            before, there = self._seen
            if np.array_equal(numbers, before):
                moved = positions - there
                if (moved * moved).sum(1).max(initial=0.0) <= self.MOVED**2:
                    return
        assert self.latent.environments is not None
        self._seen = np.array(numbers), np.array(positions)
        self._unseen = environments.unseen(self.latent.environments, numbers, positions, cell, pbc)

    def __str__(self) -> str:
        """For example "37 of 1,000 geometries have such an atom, mostly 5 (N)"."""
        found = f"{self.strange:,} of {self.looked:,} geometries have such an atom"
        often = [atom for atom, count in self.atoms.most_common(3) if count > 0.5 * self.strange]
        return found + (f", mostly {', '.join(often)}" if often else "")


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
