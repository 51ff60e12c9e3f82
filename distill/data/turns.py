"""Whose turn it is, and how much at a time: what an explorer knows of each of its molecules."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from distill.data.molecules import Molecule
from distill.data.walk import MANY

SECONDS_A_BATCH = 10.0
"""That a batch of labels shall take: so long is a label not yet trained on, at most, but for
teachers that take longer for one."""
FIRST_BATCH = 1
LEAST_EVERY = 4
"""Each fourth turn is that of the molecule with the fewest labels, whatever the errors."""


@dataclass
class Standing:
    """A molecule as it stands. tried: geometries labelled or failed. seconds_each: of its latest
    labels. error: root mean square force error (eV/Å) of the student on its latest labels when they
    came in. Both are None as long as they are unknown. given: the user's geometries still to be
    labelled. replicas: where its MD stands.
    """

    molecule: Molecule
    tried: int = 0
    seconds_each: float | None = None
    error: float | None = None
    given: list[NDArray[np.float64]] = field(default_factory=list)
    replicas: list[NDArray[np.float64]] = field(default_factory=list)

    def batch(self) -> int:
        """How many geometries to label next."""
        if self.seconds_each is None:
            return FIRST_BATCH
        return int(np.clip(SECONDS_A_BATCH / max(self.seconds_each, 1e-9), 1, MANY))

    def came(self, tried: int, seconds_each: float, error: float | None) -> None:
        """A batch has been labelled; NaN seconds are of one that failed."""
        self.tried += tried
        if math.isfinite(seconds_each):
            self.seconds_each = seconds_each
        self.error = error


def whose_turn(standings: Sequence[Standing], turn: int, first: int = 0) -> Standing:
    """First round: all molecules, the least labelled first, beginning with number ``first``. Then
    the one on which the student was worst, and on each fourth turn the least labelled again."""
    count = len(standings)
    order = [standings[(first + k) % count] for k in range(count)]
    unknown = [one for one in order if one.error is None]
    if unknown or turn % LEAST_EVERY == 0:
        return min(unknown or order, key=lambda one: one.tried)
    return max(order, key=lambda one: one.error or 0.0)


def shares(total: int, count: int) -> list[int]:
    """``total`` dealt out to ``count``, as evenly as it goes."""
    return [total // count + (k < total % count) for k in range(count)]
