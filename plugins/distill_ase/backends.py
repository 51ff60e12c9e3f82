"""What computes for ``StudentCalculator``: torch, or the fused kernel."""

from typing import Protocol

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from distill.kernels import Kernel
from distill.student import Student
from distill.student.edges import squared_lengths
from distill.student.latent import last_scalars
from distill.student.neighbours import SkinList, refuse_if_close

Array = NDArray[np.float64]
Result = tuple[Array, Array, Array, Array | None]


class Backend(Protocol):
    """rebuilds: how often the neighbour list has been built."""

    @property
    def rebuilds(self) -> int: ...

    def __call__(self, atoms: Atoms) -> Result:
        """Energies (N,) in eV, forces (N, 3) in eV/Å, virial (3, 3) in eV, and how unlike the
        training set each atom is (N,), where the backend and the student can tell."""


class KernelBackend:
    """The fused kernel of CPU or GPU; its neighbour list is its own."""

    def __init__(self, kernel: Kernel):
        self.kernel = kernel

    @property
    def rebuilds(self) -> int:
        return self.kernel.rebuilds

    def __call__(self, atoms: Atoms) -> Result:
        answer = self.kernel.evaluate(atoms.positions, atoms.numbers, atoms.cell.array, atoms.pbc)
        refuse_if_close(*answer.closest)
        return answer.energies, answer.forces, answer.virial, answer.distances


class TorchBackend:
    """The student as it is, on any device."""

    def __init__(self, student: Student, device: str, skin: float):
        self.student = student
        self.device = torch.device(device)
        self.neighbours = SkinList(student.config.cutoff, skin)
        # what the last call has left, as tensors: in MD, only the positions change
        self._numbers: tuple[NDArray[np.int64], torch.Tensor] | None = None
        self._edges: tuple[object, torch.Tensor, torch.Tensor] | None = None

    @property
    def rebuilds(self) -> int:
        return self.neighbours.rebuilds

    def __call__(self, atoms: Atoms) -> Result:
        if self._numbers is None or not np.array_equal(self._numbers[0], atoms.numbers):
            tensor = torch.tensor(atoms.numbers, dtype=torch.int64, device=self.device)
            self._numbers = (atoms.numbers.copy(), tensor)
        positions = torch.from_numpy(atoms.positions).to(self.device)
        edges = self._edges_of(atoms, positions)
        with last_scalars(self.student) as scalars:
            energies, forces, virial = self.student.evaluate(positions, self._numbers[1], *edges)
        distances = None
        if self.student.latent is not None:
            species = self.student.species_of[self._numbers[1]]
            distances = self.student.latent.distances(scalars[0], species).numpy()
        forces, virial = forces.double(), virial.double()
        return energies.cpu().numpy(), forces.cpu().numpy(), virial.cpu().numpy(), distances

    def _edges_of(self, atoms: Atoms, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Edges within the cutoff: dropping the skin's costs far less than the network on them."""
        edges = self.neighbours.update(atoms.positions, atoms.cell.array, atoms.pbc)
        if self._edges is None or self._edges[0] is not edges:
            index, shift = (torch.from_numpy(part).to(self.device) for part in edges)
            self._edges = (edges, index, shift)
        _, index, shift = self._edges
        if index.shape[1] == 0:
            return index, shift
        squares = refuse_any_overlap(positions, index, shift)
        near = (squares < self.student.config.cutoff**2).nonzero().squeeze(1)
        return index.index_select(1, near), shift.index_select(0, near)


def refuse_any_overlap(
    positions: torch.Tensor, index: torch.Tensor, shift: torch.Tensor
) -> torch.Tensor:
    """The edges' squared lengths (E,); DistillError for two atoms on top of each other."""
    squares = squared_lengths(positions, index, shift)
    if len(squares):
        nearest = int(squares.argmin())
        refuse_if_close(float(squares[nearest]) ** 0.5, *index[:, nearest].tolist())
    return squares
