"""A student as one graph that gives the energy and, by its own backward pass, the forces."""

import math

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
    forces are float32, the energy is float64. With an atom of an element that the student does not
    know, or with a coordinate that is not finite, energy and all forces are NaN.
    """
    with torch.inference_mode(False), torch.device("cpu"):
        return _exported(student.float().eval().requires_grad_(False))


def _exported(student: Student) -> ExportedProgram:
    any_known = student.config.elements[0]

    def energy_and_forces(
        positions: Tensor, numbers: Tensor, edge_index: Tensor, edge_shift: Tensor
    ) -> tuple[Tensor, Tensor]:
        x = positions.detach().requires_grad_(True)
        known = student.knows(numbers)
        energy = student.atomic_energies(
            x, torch.where(known, numbers, any_known), edge_index, edge_shift
        ).sum()
        (gradient,) = torch.autograd.grad(energy, x)
        # a graph cannot raise, and an index of -1 is the last element's
        wrong = torch.where(known, 0.0 * positions.sum(1), math.nan).sum()
        return energy.detach() + wrong, wrong - gradient

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
    generator = torch.Generator().manual_seed(0)
    positions = torch.rand((9, 3), generator=generator, dtype=torch.float32) * 4
    numbers = torch.full((9,), student.config.elements[0])
    edges, shift = neighbour_list(positions.numpy(), None, False, student.config.cutoff)
    return positions, numbers, torch.tensor(edges), torch.tensor(shift, dtype=torch.float32)
