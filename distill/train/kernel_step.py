"""A training step through the fused kernel: first derivatives only, on the CPU.

The loss is taken in torch from the kernel's energies and forces; its gradient by the weights comes
from :mod:`distill.kernels.training`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.kernels.training import KernelBatch, TrainingKernel
from distill.student.student import Student
from distill.train.graphs import Graph, groups_of


@dataclass(frozen=True)
class KernelInput:
    """Molecules side by side without padding, and what the loss compares them with (float64).

    The fields of the labels are those of :class:`distill.train.graphs.Batch`; energies are whole.
    """

    molecules: KernelBatch
    energy: Tensor
    forces: Tensor
    atom_weight: Tensor
    molecule_weight: Tensor
    inverse_size: Tensor
    group: Tensor

    @classmethod
    def of(cls, graphs: Sequence[Graph]) -> "KernelInput":
        """The graphs in their order."""
        sizes = np.array([len(g.numbers) for g in graphs])
        first = np.concatenate([[0], np.cumsum(sizes)])
        halves = [g.half for g in graphs]
        shifts = None
        if any(shift is not None for _, shift in halves):
            shifts = np.concatenate(
                [np.zeros((pairs.shape[1], 3)) if s is None else s for pairs, s in halves]
            )
        pairs = np.concatenate([p + start for (p, _), start in zip(halves, first)], axis=1)
        molecules = KernelBatch(
            first,
            np.concatenate([g.numbers for g in graphs]),
            np.concatenate([g.positions for g in graphs]),
            np.concatenate([[0], np.cumsum([p.shape[1] for p, _ in halves])]),
            pairs[0],
            pairs[1],
            shifts,
        )
        double = torch.float64
        return cls(
            molecules,
            torch.tensor([g.energy for g in graphs], dtype=double),
            torch.from_numpy(np.concatenate([g.forces for g in graphs]).astype(np.float64)),
            torch.ones(int(first[-1]), dtype=double),
            torch.ones(len(graphs), dtype=double),
            torch.from_numpy(1.0 / sizes),
            torch.from_numpy(groups_of(graphs)),
        )

    def to(self, device: torch.device | str) -> "KernelInput":
        """Itself: the kernel works on the CPU."""
        return self


class KernelStep:
    """Loss and gradients of a batch, see :class:`distill.train.step.Step`.

    Uses as many threads as torch has at its making; the result depends on their number only by
    rounding. Torch itself gets one meanwhile: its own threads would spin on the kernel's cores
    long after their work is done (a step of `tiny` on two cores: 14.9 ms, and 7.5 ms so).
    """

    def __init__(self, student: Student, loss: Any, dtype: str = "float32"):
        self.kernel = TrainingKernel(student, dtype, threads=torch.get_num_threads())
        self.loss = loss

    def __call__(
        self, parameters: Sequence[Tensor], batch: KernelInput
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        with one_torch_thread():
            return self._step(parameters, batch)

    def _step(
        self, parameters: Sequence[Tensor], batch: KernelInput
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        energy, forces, components = self._forward(parameters, batch)
        components[0].backward()
        flat = self.kernel.gradients(batch.molecules, _numpy(energy.grad), _numpy(forces.grad))
        sizes = [p.numel() for p in parameters]
        gradients = torch.from_numpy(flat).to(parameters[0].dtype).split(sizes)
        return (
            torch.stack(components).detach().float(),
            tuple(g.view_as(p) for g, p in zip(gradients, parameters)),
        )

    def validate(self, parameters: Sequence[Tensor], batch: KernelInput) -> Tensor:
        """The loss' components alone."""
        with one_torch_thread():
            return torch.stack(self._forward(parameters, batch)[2]).detach().float()

    def _forward(
        self, parameters: Sequence[Tensor], batch: KernelInput
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        flat = torch.cat([p.detach().reshape(-1) for p in parameters])
        self.kernel.set_parameters(flat.numpy())
        energies, forces = self.kernel.evaluate(batch.molecules)
        energy_leaf = torch.from_numpy(energies).requires_grad_(True)
        force_leaf = torch.from_numpy(forces).requires_grad_(True)
        with torch.enable_grad():
            return energy_leaf, force_leaf, self.loss(batch, energy_leaf, force_leaf)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Torch with one thread, and afterwards with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _numpy(gradient: Tensor | None) -> Any:
    assert gradient is not None, "the loss depends on energies and forces"
    return gradient.numpy()
