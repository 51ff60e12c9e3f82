"""MD of one molecule in vacuum, for so long: what ``distill run`` ends with.

``distill`` finds :func:`run_md` through the entry-point group ``distill.engines``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill.data.molecules import Molecule
from distill.md.settings import MDSettings
from distill.student import Student
from distill_openmm.prepare import in_vacuum
from distill_openmm.simulate import CHECKPOINT, Progress, Simulation
from distill_openmm.summary import summary

FOR_EVER = 1e6
"""Picoseconds, where minutes are what counts."""
WARMING = 0.2
"""The part of the frames that the mean temperature leaves out: there is no equilibration."""


def run_md(
    student: Student,
    molecule: Molecule,
    positions: NDArray[np.float64],
    out: Path,
    *,
    temperature: float = 300.0,
    minutes: float | None = None,
    picoseconds: float | None = None,
    timestep: float = 1.0,
    seed: int = 0,
    interval: int = 100,
    on_chunk: Callable[[float], None] = lambda share: None,
) -> dict[str, Any]:
    """Langevin MD in vacuum; writes topology.pdb, trajectory.dcd and md.csv into ``out``.

    positions: (N, 3) in Å. temperature in K, timestep in fs. Ends after so many
    ``picoseconds``, going on where an earlier call was stopped, or else after ``minutes``. A frame
    every ``interval`` steps. Returns what was done: steps, picoseconds, ms/step, ns/day; and what
    the student says of it: frames_unlike_training, uncertainty (eV/Å). ``broke_up`` says in a
    sentence when the molecule came apart. MD ends where coordinates or energies are no longer
    numbers; the files hold what came before.
    """
    settings = MDSettings(
        ps=FOR_EVER if picoseconds is None else picoseconds,
        temperature=temperature,
        timestep=timestep,
        every=0.001 * timestep * interval,
        seed=seed,
    )
    if picoseconds is None:  # an earlier start that was killed had a budget of its own
        (out / CHECKPOINT).unlink(missing_ok=True)

    def spent(share: float) -> None:
        on_chunk(min(1.0, share))

    progress = Progress()
    if picoseconds is not None:
        minutes = None
        progress = Progress(advance=lambda phase, share, speed: spent(share))
    simulation = Simulation(student, in_vacuum(molecule, positions), settings, out, progress)
    found = simulation.run(minutes, spent)
    (out / CHECKPOINT).unlink(missing_ok=True)
    return {**found, **summary(out / "md.csv", WARMING)}
