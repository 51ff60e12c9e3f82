"""What an MD run starts from, however it came about."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit


@dataclass(frozen=True, eq=False)
class Prepared:
    """A topology of N atoms with their force field, and which of them are the student's.

    ``system`` is the force field's, of all atoms (constraints, masses and the method of
    electrostatics as they shall be in MD); None where there is nothing but the student's atoms.
    ``positions`` (N, 3) in Å; ``box`` (3, 3) in Å, rows as vectors, or None without a box.
    ``atoms`` are the student's, in the topology's order; ``charge`` is theirs, in e, where it is
    known. ``notes`` are sentences that the user should read: what was added or had to be chosen.
    """

    topology: app.Topology
    system: openmm.System | None
    positions: NDArray[np.float64]
    atoms: list[int]
    box: NDArray[np.float64] | None = None
    charge: int | None = None
    notes: tuple[str, ...] = field(default=())


def angstroms(positions: Any) -> NDArray[np.float64]:
    """(N, 3), of OpenMM's Quantity of positions."""
    return np.array(positions.value_in_unit(unit.angstrom), dtype=np.float64).reshape(-1, 3)
