"""MD on a CUDA device, for engines that keep positions on the CPU."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.kernels.cuda.graph import GraphedStudent
from distill.kernels.cuda.student import CudaStudent
from distill.kernels.student import Answer
from distill.student.edges import squared_lengths
from distill.student.neighbours import SkinList
from distill.student.student import Student


class CudaMD:
    """What :class:`distill.kernels.KernelStudent` is on CPUs: the same ``evaluate``.

    The neighbour list is made on the CPU, with a skin (Å); the step is one CUDA graph.
    """

    def __init__(self, student: Student, device: str = "cuda", skin: float = 1.0):
        self._made_of = (student, device, skin)
        self.student = CudaStudent(student, device)
        self.neighbours = SkinList(student.config.cutoff, skin)
        self._graph: GraphedStudent | None = None
        self._numbers: NDArray[np.int64] | None = None
        self._capacity = 0
        self._edges: object = None
        self._closest = (float("inf"), 0, 0)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies get arrays and a neighbour list of their own."""
        return CudaMD, self._made_of

    @property
    def rebuilds(self) -> int:
        """How often the neighbour list has been built."""
        return self.neighbours.rebuilds

    def forget(self) -> None:
        """The next call builds the neighbour list anew."""
        self.neighbours = SkinList(self._made_of[0].config.cutoff, self._made_of[2])

    def evaluate(self, positions: Any, numbers: Any, cell: Any = None, pbc: Any = False) -> Answer:
        """Of one geometry, see KernelStudent. ``closest`` is as the list was built."""
        x = torch.from_numpy(np.ascontiguousarray(positions, dtype=np.float64))
        edges = self.neighbours.update(positions, cell, pbc)
        index, shift = (torch.from_numpy(part) for part in edges)
        same_atoms = self._numbers is not None and np.array_equal(self._numbers, numbers)
        if self._graph is None or not same_atoms or index.shape[1] > self._capacity:
            # room for a list that grows a little
            self._capacity = max(self._capacity, 1024 * (1 + index.shape[1] * 6 // 5 // 1024))
            self._numbers = np.array(numbers, dtype=np.int64)
            tensor = torch.from_numpy(self._numbers)
            self._graph = GraphedStudent(self.student, tensor, self._capacity)
            self._edges = None
        if self._edges is not edges:
            self._closest = closest(x, index, shift)
            self._graph.set_edges(index, shift, by_centre=True)
            self._edges = edges
        energies, forces, virial = (part.cpu().numpy().copy() for part in self._graph.evaluate(x))
        return Answer(energies, forces, virial, self._closest)


def closest(positions: Tensor, index: Tensor, shift: Tensor) -> tuple[float, int, int]:
    """The smallest distance along edges, and its two atoms; infinite without edges."""
    if index.shape[1] == 0:
        return float("inf"), 0, 0
    squares = squared_lengths(positions, index, shift)
    at = int(squares.argmin())
    return float(squares[at]) ** 0.5, int(index[0, at]), int(index[1, at])
