"""A student captured in a CUDA graph: MD with one launch a step."""

import torch
from torch import Tensor

from distill.kernels.cuda.student import CudaStudent


class GraphedStudent:
    """One system, evaluated again and again by replaying a CUDA graph.

    numbers (N,): the atoms, which stay the same. capacity: the most edges that a neighbour list
    will hold. Give edges with :meth:`set_edges` before the first evaluation and whenever the list
    is rebuilt; the graph reads them from arrays of fixed size and need not be captured again. With
    Triton's interpreter, which knows no graphs, the kernels run one by one.
    """

    def __init__(self, student: CudaStudent, numbers: Tensor, capacity: int):
        student.check_elements(numbers)
        self._work = student.step(len(numbers), capacity)
        self._work.set_atoms(numbers)
        self._graph: torch.cuda.CUDAGraph | None = None
        if student.device.type == "cuda":
            self._graph = self._capture(student.device)

    def _capture(self, device: torch.device) -> torch.cuda.CUDAGraph:
        with torch.cuda.device(device):
            # the first run compiles the kernels, which cannot be done while capturing
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(2):
                    self._work.run()
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._work.run()
        return graph

    def set_edges(self, edge_index: Tensor, edge_shift: Tensor, by_centre: bool = False) -> None:
        """Edges (2, E) and shifts (E, 3) in Å as ``CudaStudent.evaluate`` takes them."""
        self._work.set_edges(edge_index, edge_shift, by_centre)

    def evaluate(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Energies (N,), forces (N, 3), virial (3, 3), float64: the next call overwrites them."""
        self._work.set_positions(positions)
        if self._graph is not None:
            self._graph.replay()
        else:
            self._work.run()
        return self._work.energies, self._work.forces, self._work.virial
