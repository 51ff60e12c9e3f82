"""The directed edges of a molecular graph, and the two things a network does along them."""

import torch
from torch import Tensor


@torch.jit.script
class EdgeList:
    """Edges (i, j) in any order: information flows from neighbour j to centre i."""

    def __init__(self, edge_index: Tensor, n_atoms: int):
        self.i = edge_index[0]
        self.j = edge_index[1]
        self.n_atoms = n_atoms

    def neighbours(self, x: Tensor) -> Tensor:
        """Rows of the neighbours: (N, ...) -> (E, ...)."""
        return x.index_select(0, self.j)

    def centres(self, x: Tensor) -> Tensor:
        """Rows of the centres: (N, ...) -> (E, ...)."""
        return x.index_select(0, self.i)

    def sum(self, messages: Tensor) -> Tensor:
        """Sum over each centre's edges: (E, ...) -> (N, ...)."""
        shape = list(messages.shape)
        shape[0] = self.n_atoms
        return torch.zeros(shape, dtype=messages.dtype, device=messages.device).index_add(
            0, self.i, messages
        )


def squared_lengths(positions: Tensor, edge_index: Tensor, edge_shift: Tensor) -> Tensor:
    """Of all edges, (E,)."""
    vectors = positions.index_select(0, edge_index[1]) + edge_shift
    vectors = vectors - positions.index_select(0, edge_index[0])
    return (vectors * vectors).sum(1)


def edges_within(
    positions: Tensor, edge_index: Tensor, edge_shift: Tensor, cutoff: float
) -> tuple[Tensor, Tensor]:
    """The edges that are shorter than the cutoff (Å).

    A list with a skin holds half as many again: the network on them would cost far more than this.
    """
    squares = squared_lengths(positions, edge_index, edge_shift)
    near = (squares < cutoff * cutoff).nonzero().squeeze(1)
    return edge_index.index_select(1, near), edge_shift.index_select(0, near)
