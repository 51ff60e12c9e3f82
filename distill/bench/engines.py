"""Ways to run MD with a student, each as a function that makes a given number of steps.

Plugins add theirs through the entry-point group ``distill.bench``: a name, and a function
``make(case, student, atoms)`` that returns such a function or raises DistillError.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points

import numpy as np
import torch
from ase import Atoms, units
from numpy.typing import NDArray

from distill.errors import DistillError
from distill.kernels import KernelStudent
from distill.student.edges import edges_within
from distill.student.neighbours import SkinList
from distill.student.student import Student

TIMESTEP = 0.5  # fs; a step costs the same at 1 fs, which ns/day refer to
Steps = Callable[[int], None]
Forces = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Case:
    """One row to measure."""

    engine: str
    size: str
    atoms: int
    dtype: str = "float32"
    device: str = "cpu"
    threads: int = 1


def kernel(case: Case, student: Student, atoms: Atoms) -> Steps:
    """The fused kernel alone, in a loop in numpy."""
    fused = KernelStudent(student, case.dtype, threads=case.threads)
    arguments = (atoms.numbers, atoms.cell.array, atoms.pbc)
    return verlet(atoms, lambda x: fused.evaluate(x, *arguments).forces)


def torch_eager(case: Case, student: Student, atoms: Atoms) -> Steps:
    """Eager torch with a neighbour list that has a skin."""
    return _through_torch(case, student, atoms, scripted=False)


def torchscript(case: Case, student: Student, atoms: Atoms) -> Steps:
    """The same as TorchScript."""
    return _through_torch(case, student, atoms, scripted=True)


def _through_torch(case: Case, student: Student, atoms: Atoms, scripted: bool) -> Steps:
    network = student.to(device=case.device, dtype=getattr(torch, case.dtype))
    model = torch.jit.script(network) if scripted else network
    neighbours = SkinList(student.cutoff)
    numbers = torch.tensor(atoms.numbers, device=case.device)

    def forces(x: NDArray[np.float64]) -> NDArray[np.float64]:
        edges = neighbours.update(x, atoms.cell.array, atoms.pbc)
        index, shift = (torch.from_numpy(part).to(case.device) for part in edges)
        positions = torch.from_numpy(x).to(case.device)
        index, shift = edges_within(positions, index, shift, student.cutoff)
        _, found = model(positions, numbers, index, shift)
        return np.asarray(found.double().cpu().numpy())

    return verlet(atoms, forces)


def verlet(atoms: Atoms, forces: Forces) -> Steps:
    """Velocity Verlet from 300 K; nothing but the forces costs time."""
    rng = np.random.default_rng(0)
    masses = atoms.get_masses()[:, None]
    dt = TIMESTEP * units.fs
    x = atoms.positions.copy()
    v = np.sqrt(units.kB * 300.0 / masses) * rng.standard_normal(x.shape)
    state = [x, v, forces(x)]

    def run(steps: int) -> None:
        x, v, f = state
        for _ in range(steps):
            v = v + 0.5 * dt * f / masses
            x = x + dt * v
            f = forces(x)
            v = v + 0.5 * dt * f / masses
        state[:] = x, v, f

    return run


OWN: dict[str, Callable[[Case, Student, Atoms], Steps]] = {
    "kernel": kernel,
    "torch": torch_eager,
    "torchscript": torchscript,
}


def engines() -> dict[str, Callable[[], Callable[[Case, Student, Atoms], Steps]]]:
    """All engines by name, each with a function that loads it."""
    found: dict[str, Callable[[], Callable[[Case, Student, Atoms], Steps]]] = {
        name: partial(OWN.__getitem__, name) for name in OWN
    }
    for entry in entry_points(group="distill.bench"):
        found[entry.name] = entry.load
    return found


def make(case: Case, student: Student, atoms: Atoms) -> Steps:
    """The steps of a case; DistillError for an engine that is not there."""
    known = engines()
    if case.engine not in known:
        raise DistillError(
            f"There is no engine '{case.engine}'; choose from {', '.join(sorted(known))}."
        )
    try:
        function = known[case.engine]()
    except ImportError as error:
        raise DistillError(
            f"The engine '{case.engine}' cannot be imported ({error}); install what it needs, "
            "or leave it out of --engines."
        ) from error
    return function(case, student, atoms)
