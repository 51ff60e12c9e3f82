"""What computes for ``StudentMLIAP``: the fused kernel, or torch, which knows each pair's share."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from distill.kernels import KernelStudent
from distill.student import Student

Array = NDArray[np.float64]
DTYPES = {"float32": torch.float32, "float64": torch.float64}


class Share(NamedTuple):
    """energies of the owned atoms in eV, forces (N, 3) on all in eV/Å (None with pair_forces),
    closest: the smallest distance in Å; pair_forces (P, 3): dE/d(vector), where asked for."""

    energies: Array
    forces: Any
    closest: float
    pair_forces: Any = None


class KernelBackend:
    """The fused kernel."""

    def __init__(self, student: Student, dtype: str):
        self.kernel = KernelStudent(student, dtype)

    def __call__(
        self, numbers: Any, owned: int, i: Any, j: Any, vectors: Any, ids: Any = None, x: Any = None
    ) -> Share:
        """ids (N,) and positions x (N, 3), where they are known: see ``evaluate_part``."""
        answer, images = self.kernel.evaluate_part(numbers, owned, i, j, vectors, ids, x)
        if x is not None:
            add_virial(answer.forces, answer.virial, x, images[images[:, 0] >= 0])
        return Share(answer.energies, answer.forces, answer.closest[0])


def add_virial(forces: Array, virial: Array, x: Array, images: NDArray[np.int32]) -> None:
    """Pairs of opposite forces on images of the same atoms, which cancel when LAMMPS adds up their
    forces, and make its virial, the sum of positions times forces, the right one.

    virial (3, 3): dE/d(strain). images (K, 2): of K independent directions.
    """
    if not len(images):
        return
    missing = -virial.T - x.T @ forces
    image, atom = images.T
    pull = np.linalg.pinv((x[image] - x[atom]).T) @ missing
    np.add.at(forces, image, pull)
    np.subtract.at(forces, atom, pull)


class TorchBackend:
    """The student in eager torch: several times slower."""

    def __init__(self, student: Student, dtype: str):
        self.student = student.to(DTYPES[dtype]).eval().requires_grad_(False)

    def __call__(
        self, numbers: Any, owned: int, i: Any, j: Any, vectors: Any, pairwise: bool = False
    ) -> Share:
        """Without ``pairwise``, pair_forces are not given, else forces are not."""
        edges = torch.from_numpy(np.stack([i, j]).astype(np.int64))
        shift = torch.tensor(np.asarray(vectors), dtype=torch.float64, requires_grad=True)
        origin = torch.zeros((len(numbers), 3), dtype=torch.float64)
        of_owned = self.student.atomic_energies(
            origin, torch.from_numpy(numbers.astype(np.int64)), edges, shift
        )[:owned]
        slopes = np.zeros((len(i), 3))
        if len(i):
            (gradient,) = torch.autograd.grad(of_owned.sum(), shift)
            slopes = gradient.double().numpy()
        closest = float(np.sqrt((vectors**2).sum(1).min())) if len(i) else np.inf
        energies: Array = of_owned.detach().double().numpy()
        if pairwise:
            return Share(energies, None, closest, slopes)
        forces = np.zeros((len(numbers), 3))
        np.add.at(forces, i, slopes)
        np.subtract.at(forces, j, slopes)
        return Share(energies, forces, closest)
