"""Geometries from a student's own MD: many replicas at once, at several temperatures.

This is what active learning labels: the student must be right where its own dynamics goes.
"""

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from ase.data import atomic_masses
from ase.units import kB
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

from distill import kernels
from distill.data.langevin import langevin
from distill.data.sampling import Frame
from distill.distances import relative_distances
from distill.kernels import KernelStudent
from distill.student.edges import edges_within
from distill.student.neighbours import SkinList
from distill.student.student import Student

SOURCE = "student-md"
STRAINED = "strained-md"
STRAINS = (1.3, 1.5, 1.7, 1.9)
"""Of a bond's length at the start: at each a geometry is taken."""
SKIN = 1.0  # Å


def student_md(
    student: Student,
    numbers: NDArray[np.int64],
    starts: Sequence[NDArray[np.float64]],
    temperatures: Sequence[float],
    *,
    frames: int,
    steps_between: int,
    equilibration: int = 100,
    seed: int = 0,
    on_step: Callable[[], None] = lambda: None,
    strained: list[Frame] | None = None,
    masses: NDArray[np.float64] | None = None,
) -> list[list[Frame]]:
    """Langevin MD (BAOAB, 1 fs) of R replicas, all in one evaluation of the student a step.

    starts: R geometries (N, 3) in Å; temperatures: R values in K; masses (N,) in u: the elements'
    where they are not given. Returns for each replica up to
    ``frames`` frames, ``steps_between`` steps apart. A replica whose molecule has come apart
    (see :func:`intact`) ends there: what follows would teach nothing about the molecule. But how it
    came apart teaches much: ``strained`` receives a frame each time that a replica's longest bond
    passes one of STRAINS.
    """
    rng = np.random.default_rng(seed)
    replicas, n = len(starts), len(numbers)
    forces = forces_of(student, numbers, replicas)
    bath = np.asarray(temperatures, dtype=float)[:, None, None]
    x = np.array(starts, dtype=np.float64).reshape(replicas, n, 3)
    bonds = [bonded_pairs(numbers, start) for start in x]
    last_good = x.copy()
    masses = atomic_masses[numbers] if masses is None else masses
    v = np.sqrt(kB * bath / masses[:, None]) * rng.standard_normal(x.shape)
    steps = langevin(x, v, masses, forces, bath, rng)
    taken: list[list[Frame]] = [[] for _ in range(replicas)]
    alive = np.ones(replicas, dtype=bool)
    lengths = [squareform(pdist(start))[b] for start, b in zip(x, bonds)]
    passed = np.zeros(replicas, dtype=int)  # how many of STRAINS
    for step in range(1, equilibration + frames * steps_between + 1):
        x, v = next(steps)
        for r in np.flatnonzero(alive).tolist():
            if step % 10 == 0 and not intact(numbers, x[r], bonds[r]):
                alive[r] = False
            elif strained is not None and step % 3 == 0:
                strain = (squareform(pdist(x[r]))[bonds[r]] / lengths[r]).max(initial=0.0)
                now = int(np.searchsorted(STRAINS, strain))
                if now > passed[r] and intact(numbers, x[r], bonds[r]):
                    strained.append(Frame(x[r].copy(), STRAINED, float(temperatures[r])))
                passed[r] = max(now, passed[r])
        # a replica that has ended stands still, so that it cannot spoil the others
        x[~alive], v[~alive] = last_good[~alive], 0.0
        after = step - equilibration
        if after > 0 and after % steps_between == 0:
            for r in np.flatnonzero(alive).tolist():
                if intact(numbers, x[r], bonds[r]):
                    last_good[r] = x[r]
                    taken[r].append(Frame(x[r].copy(), SOURCE, float(temperatures[r])))
        on_step()
        if not alive.any():
            break
    return taken


def forces_of(
    student: Student, numbers: NDArray[np.int64], replicas: int
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """A function of R geometries (R, N, 3) in Å that gives the student's forces in eV/Å."""
    return (_KernelForces if kernels.available() else _TorchForces)(student, numbers, replicas)


class _KernelForces:
    """Forces (R, N, 3) on R copies of a molecule, by the fused kernel."""

    def __init__(self, student: Student, numbers: NDArray[np.int64], replicas: int):
        # one for each replica: each keeps its own neighbour list
        first = KernelStudent(student, skin=SKIN)
        self.kernels = [first, *(copy.copy(first) for _ in range(replicas - 1))]
        self.numbers = numbers

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([k.evaluate(p, self.numbers).forces for k, p in zip(self.kernels, x)])


class _TorchForces:
    """The same by torch, as one graph without edges between the copies."""

    def __init__(self, student: Student, numbers: NDArray[np.int64], replicas: int):
        self.student = student
        self.numbers = torch.from_numpy(np.tile(numbers, replicas))
        self.lists = [SkinList(student.cutoff, SKIN) for _ in range(replicas)]
        self.rebuilds = -1
        self.edges = torch.zeros((2, 0), dtype=torch.int64)
        self.no_shift = torch.zeros((0, 3))

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        replicas, n, _ = x.shape
        found = [skin_list.update(p, None, False)[0] for skin_list, p in zip(self.lists, x)]
        rebuilds = sum(skin_list.rebuilds for skin_list in self.lists)
        if rebuilds != self.rebuilds:
            joined = np.concatenate([e + r * n for r, e in enumerate(found)], axis=1)
            self.edges = torch.from_numpy(joined)
            self.no_shift = torch.zeros((self.edges.shape[1], 3))
            self.rebuilds = rebuilds
        positions = torch.from_numpy(x.reshape(-1, 3).astype(np.float32))
        edges, shift = edges_within(positions, self.edges, self.no_shift, self.student.cutoff)
        _, forces = self.student(positions, self.numbers, edges, shift)
        return forces.double().numpy().reshape(replicas, n, 3)


def bonded_pairs(numbers: NDArray[np.int64], positions: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N, N): pairs closer than 1.25 times the sum of their covalent radii."""
    return relative_distances(numbers, positions) < 1.25


def intact(
    numbers: NDArray[np.int64], positions: NDArray[np.float64], bonds: NDArray[np.bool_]
) -> bool:
    """Whether coordinates are finite, no bond is stretched to twice the sum of the covalent radii
    and no two atoms are nearer than half of it."""
    if not np.isfinite(positions).all() or np.abs(positions).max() > 1e4:
        return False
    relative = relative_distances(numbers, positions)
    return bool((relative[bonds] < 2.0).all() and (relative > 0.5).all())
