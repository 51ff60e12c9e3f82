"""The kernel in torch: operators with meta and autograd formulas, and a module that calls them."""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from distill.kernels.library import library, register_operators
from distill.kernels.weights import prepare
from distill.student.student import Student

Triple = tuple[Tensor, Tensor, Tensor]


@cache
def _register() -> None:
    """The operators, what torch must know of their shapes, and their derivative."""
    register_operators()

    def shapes(positions: Tensor) -> Triple:
        n, double = positions.shape[0], positions.new_empty(0, dtype=torch.float64)
        return double.new_empty(n), double.new_empty((n, 3)), double.new_empty((3, 3))

    @torch.library.register_fake("distill::painn")
    def _(meta: Any, packed: Any, positions: Tensor, *_: Any) -> Triple:
        return shapes(positions)

    @torch.library.register_fake("distill::painn_md")
    def _(meta: Any, packed: Any, positions: Tensor, *_: Any) -> Triple:
        return shapes(positions)

    def keep(ctx: Any, inputs: Any, output: Triple) -> None:
        ctx.mark_non_differentiable(output[1], output[2])
        ctx.inputs, ctx.forces = inputs, output[1]

    def back(ctx: Any, of_energies: Tensor, *_: Any) -> tuple[Any, ...]:
        inputs = ctx.inputs
        # of the energies' sum the gradient is known already; a tracer cannot look at values
        if type(of_energies) is Tensor and bool((of_energies == of_energies[:1]).all()):
            gradient = -of_energies[:1] * ctx.forces
        else:
            _, forces, _ = torch.ops.distill.painn(*inputs[:6], of_energies.contiguous(), inputs[7])
            gradient = -forces
        return (None, None, gradient.to(inputs[2].dtype), *[None] * 5)

    torch.library.register_autograd("distill::painn", back, setup_context=keep)


class KernelModule(nn.Module):
    """A student run by the fused kernel, as a torch module on the CPU that TorchScript takes.

    ``forward(positions, numbers, edge_index, edge_shift)`` is Student's: energy () float64 and
    forces (N, 3); ``evaluate`` likewise gives energies (N,), forces and virial. Differentiable
    energies are ``torch.ops.distill.painn``'s. ``md(positions, numbers, box)`` finds its neighbours
    itself, with a list (cutoff + skin) that lasts from call to call; box (3, 3) in Å, rows as
    vectors, or empty without periodicity.

    The weights are buffers; copies of the module share the neighbour list, which is then built anew
    whenever they take turns.
    """

    meta: Tensor
    packed: Tensor
    all_ones: Tensor

    def __init__(
        self, student: Student, dtype: str = "float32", *, threads: int = 1, skin: float = 1.0,
        intervals: int | None = None,
    ):  # fmt: skip
        super().__init__()
        _register()
        meta, packed = prepare(student, dtype, intervals)
        self.threads, self.skin = threads, float(skin)
        self.list = int(library().distill_new_list())
        self.register_buffer("meta", torch.from_numpy(meta))
        self.register_buffer("packed", torch.from_numpy(packed))
        self.register_buffer("all_ones", torch.zeros(0, dtype=torch.float64))

    def evaluate(
        self, positions: Tensor, numbers: Tensor, edge_index: Tensor, edge_shift: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See ``Student.evaluate``; here the energies are differentiable by the positions."""
        return torch.ops.distill.painn(
            self.meta, self.packed, positions.contiguous(), numbers.contiguous(),
            edge_index.contiguous(), edge_shift.contiguous(), self.all_ones, self.threads,
        )  # fmt: skip

    def forward(
        self, positions: Tensor, numbers: Tensor, edge_index: Tensor, edge_shift: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Energy () and forces (N, 3), both float64."""
        energies, forces, _ = self.evaluate(positions, numbers, edge_index, edge_shift)
        return energies.sum(), forces

    @torch.jit.export
    def md(self, positions: Tensor, numbers: Tensor, box: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Energies (N,), forces (N, 3), virial (3, 3)."""
        return torch.ops.distill.painn_md(
            self.meta, self.packed, positions.contiguous(), numbers, box.contiguous(),
            self.list, self.skin, self.threads,
        )  # fmt: skip
