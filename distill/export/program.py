"""A student as one graph that gives the energy and, by its own backward pass, the forces."""

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental.proxy_tensor import make_fx

from distill.student.neighbours import neighbour_list
from distill.student.student import Student

OUTPUTS = ("energy", "forces")

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


class _Traced(nn.Module):
    """A graph as a module whose arguments have names."""

    def __init__(self, traced: nn.Module):
        super().__init__()
        self.traced = traced

    def forward(
        self, positions: Tensor, numbers: Tensor, edge_index: Tensor, edge_shift: Tensor
    ) -> tuple[Tensor, Tensor]:
        energy, forces = self.traced(positions, numbers, edge_index, edge_shift)
        return energy, forces


def exported_program(student: Student) -> ExportedProgram:
    """``forward(positions, numbers, edge_index, edge_shift) -> (energy, forces)`` for any number of
    atoms and edges, none included. Arguments and units as in ``Student``; positions, edge_shift and
    forces are float32, the energy is float64.
    """
    student = student.float().eval().requires_grad_(False)

    def energy_and_forces(
        positions: Tensor, numbers: Tensor, edge_index: Tensor, edge_shift: Tensor
    ) -> tuple[Tensor, Tensor]:
        x = positions.detach().requires_grad_(True)
        energy = student.atomic_energies(x, numbers, edge_index, edge_shift).sum()
        (gradient,) = torch.autograd.grad(energy, x)
        return energy.detach(), -gradient

    example = example_inputs(student)
    graph = make_fx(
        energy_and_forces,
        tracing_mode="symbolic",
        _allow_non_fake_inputs=True,
        decomposition_table=dict(torch._decomp.core_aten_decompositions()),
    )(*example)
    atoms, edges = Dim("atoms", min=2), Dim("edges", min=2)
    shapes = {
        "positions": {0: atoms}, "numbers": {0: atoms}, "edge_index": {1: edges},
        "edge_shift": {0: edges},
    }  # fmt: skip
    return torch.export.export(_Traced(graph), example, dynamic_shapes=shapes, strict=False)


def example_inputs(student: Student) -> Inputs:
    """Nine atoms of a student's first element, at random."""
    positions = torch.rand((9, 3), generator=torch.Generator().manual_seed(0)) * 4
    numbers = torch.full((9,), student.config.elements[0])
    edges, shift = neighbour_list(positions.numpy(), None, False, student.config.cutoff)
    return positions, numbers, torch.tensor(edges), torch.tensor(shift, dtype=torch.float32)
