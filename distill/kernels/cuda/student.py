"""The student on a CUDA device."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distill.errors import DistillError
from distill.kernels.cuda import require
from distill.kernels.cuda.weights import pack
from distill.student.student import Student

if TYPE_CHECKING:  # it imports triton, which need not be there
    from distill.kernels.cuda.step import Step


class CudaStudent:
    """A student whose energies, forces and virial come from the fused Triton kernels.

    Its weights are packed once; later changes of the student are not seen. precision: how the dense
    layers multiply, "ieee" (float32) or "tf32x3" (three TF32 products on the tensor cores).
    Raises DistillError where the kernels cannot run (see ``distill.kernels.cuda.available``).
    """

    def __init__(self, student: Student, device: str = "cuda", precision: str = "ieee"):
        require(device)
        from distill.kernels.cuda.step import PRECISIONS

        if precision not in PRECISIONS:
            raise DistillError(
                f"precision is '{precision}'; choose one of {', '.join(PRECISIONS)}."
            )
        self.device = torch.device(device)
        self.precision = precision
        self.cutoff = student.cutoff
        self.weights = pack(student, self.device)
        self._student = student
        self._step: Step | None = None

    def check_elements(self, numbers: Tensor) -> None:
        """Raises DistillError for an unknown element. Waits for the device."""
        self._student.check_elements(numbers.tolist())

    def step(self, n_atoms: int, capacity: int) -> "Step":
        """Fresh arrays for that many atoms and edges."""
        from distill.kernels.cuda.step import Step

        return Step(self.weights, n_atoms, capacity, self.device, self.precision)

    def evaluate(
        self,
        positions: Tensor,
        numbers: Tensor,
        edge_index: Tensor,
        edge_shift: Tensor,
        by_centre: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Atomic energies (N,), forces (N, 3), virial (3, 3), all float64: see Student.evaluate.

        Both directions of every pair must be listed. by_centre: the edges are known to be sorted by
        their centres, which saves a sort. Arguments that are on the device already cause no wait
        for it; an element that the student does not know then shows as an energy that is NaN.
        """
        n_atoms, n_edges = positions.shape[0], edge_index.shape[1]
        step = self._step
        if step is None or step.n_atoms != n_atoms or step.capacity < n_edges:
            # some room, so that a neighbour list that grows a little does not make new arrays
            step = self._step = self.step(n_atoms, 1024 * (1 + n_edges * 6 // 5 // 1024))
        if numbers.device.type == "cpu":
            self.check_elements(numbers)
        step.set_atoms(numbers)
        step.set_edges(edge_index, edge_shift, by_centre)
        step.set_positions(positions)
        step.run()
        return step.energies.clone(), step.forces.clone(), step.virial.clone()
