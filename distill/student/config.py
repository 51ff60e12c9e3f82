"""What a student is made of: the numbers that fix its architecture, and the three named sizes."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from ase.data import chemical_symbols

from distill.elements import ELEMENTS
from distill.errors import DistillError

HARD, SOFT = 1e-8, 2.5e-3
"""Softenings: of files that name none, and of new students. The vectors' lengths are 0.15 to 0.9,
half of them below; the root of 2.5e-3 is what they change by when an atom vibrates."""


@dataclass(frozen=True)
class StudentConfig:
    """Architecture of a student.

    hidden: features per atom (a multiple of 16). layers: interactions. n_radial: Bessel functions.
    cutoff: Å. elements: atomic numbers the student knows, in the order of its embedding. softening:
    added to the square of a vector's length before the root is taken. Where an atom's neighbours
    cancel each other, as about the carbon of methane, the vectors vanish, and there a plain length
    has a cusp: with 1e-8, as in files of format 1 and 2, forces are right and frequencies wrong.
    """

    size: str
    hidden: int
    layers: int
    n_radial: int = 20
    cutoff: float = 5.0
    elements: tuple[int, ...] = ELEMENTS
    softening: float = HARD

    def __post_init__(self) -> None:
        if self.hidden <= 0 or self.hidden % 16:
            raise DistillError(f"hidden is {self.hidden}; use a positive multiple of 16.")
        if self.layers < 1 or self.n_radial < 1 or not 0 < self.cutoff < math.inf:
            raise DistillError("layers, n_radial and cutoff must be positive.")
        if not 0 < self.softening < math.inf:
            raise DistillError("softening must be positive, and finite.")
        if not self.elements or len(set(self.elements)) != len(self.elements):
            raise DistillError("elements must be a list of distinct atomic numbers.")
        if not 0 < min(self.elements) <= max(self.elements) < len(chemical_symbols):
            raise DistillError("elements must be atomic numbers, from 1 for hydrogen on.")

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON-ready values."""
        return {**asdict(self), "elements": list(self.elements)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "StudentConfig":
        """Inverse of :meth:`as_dict`."""
        return cls(**{**fields, "elements": tuple(int(z) for z in fields["elements"])})


SIZES: dict[str, StudentConfig] = {
    "original": StudentConfig("original", hidden=128, layers=3, softening=SOFT),
    "tiny": StudentConfig("tiny", hidden=64, layers=2, softening=SOFT),
    "ultra-tiny": StudentConfig("ultra-tiny", hidden=32, layers=2, n_radial=16, softening=SOFT),
}
"""The named sizes; parameter budgets 427,292 / 77,203 / 21,459."""


def size_config(size: str) -> StudentConfig:
    """The configuration of a named size."""
    if size not in SIZES:
        raise DistillError(f"Unknown size '{size}'; choose one of {', '.join(SIZES)}.")
    return SIZES[size]
