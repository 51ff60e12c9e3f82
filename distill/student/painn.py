"""PaiNN: equivariant message passing (Schütt, Unke, Gastegger, ICML 2021, arXiv 2102.03150).

Read beside figure 2 of the paper. Each atom carries scalars s (N, F) and vectors v (N, 3, F).
What differs from the paper, to spend few parameters well: the first message carries no vectors
(they are zero there), the last update makes none (nobody reads them), and the update's network is
half as wide.
"""

import torch
from torch import Tensor, nn

from distill.student.config import StudentConfig
from distill.student.edges import EdgeList
from distill.student.radial import BesselBasis, cutoff_envelope, held
from distill.student.zbl import ZBL


def mlp(n_in: int, n_hidden: int, n_out: int) -> nn.Sequential:
    """Two dense layers with a SiLU between them."""
    first, last = nn.Linear(n_in, n_hidden), nn.Linear(n_hidden, n_out)
    for layer in (first, last):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(first, nn.SiLU(), last)


class Message(nn.Module):
    """The message block: neighbours speak through filters of the distance (eqs. 7 and 8)."""

    def __init__(self, hidden: int, n_radial: int, vectors_in: bool):
        super().__init__()
        self.hidden = hidden
        self.vectors_in = vectors_in
        self.parts = 3 if vectors_in else 2
        self.phi = mlp(hidden, hidden, self.parts * hidden)
        self.filter = nn.Linear(n_radial, self.parts * hidden)

    def forward(
        self, s: Tensor, v: Tensor, radial: Tensor, envelope: Tensor, unit: Tensor, edges: EdgeList
    ) -> tuple[Tensor, Tensor]:
        filters = self.filter(radial) * envelope.unsqueeze(-1)
        spoken = edges.neighbours(self.phi(s)) * filters
        parts = spoken.split(self.hidden, dim=-1)
        along_bond = parts[1].unsqueeze(1) * unit.unsqueeze(-1)
        if self.vectors_in:
            along_bond = along_bond + parts[2].unsqueeze(1) * edges.neighbours(v)
        return edges.sum(parts[0]), edges.sum(along_bond)


class Update(nn.Module):
    """The update block: an atom's scalars and vectors speak to each other (eqs. 9 and 10)."""

    def __init__(self, hidden: int, vectors_out: bool, softening: float):
        super().__init__()
        self.hidden = hidden
        self.vectors_out = vectors_out
        self.softening = softening
        self.mix = nn.Linear(hidden, 2 * hidden, bias=False)  # U and V of the paper, side by side
        nn.init.xavier_uniform_(self.mix.weight[:hidden])
        nn.init.xavier_uniform_(self.mix.weight[hidden:])
        self.a = mlp(2 * hidden, hidden // 2, (3 if vectors_out else 2) * hidden)

    def forward(self, s: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        mixed = self.mix(v)
        u_v, v_v = mixed.split(self.hidden, dim=-1)
        # smooth where the vectors vanish: see StudentConfig.softening
        norm = torch.sqrt((v_v * v_v).sum(1) + self.softening)
        a = self.a(torch.cat([s, norm], dim=-1)).split(self.hidden, dim=-1)
        s = s + a[0] + a[1] * (u_v * v_v).sum(1)
        if self.vectors_out:
            v = v + a[2].unsqueeze(1) * u_v
        return s, v


class PaiNN(nn.Module):
    """Per-atom energies, above the isolated atoms', from elements and edge vectors."""

    def __init__(self, config: StudentConfig):
        super().__init__()
        self.cutoff = config.cutoff
        self.hidden = config.hidden
        f, last = config.hidden, config.layers - 1
        self.embedding = nn.Embedding(len(config.elements), f)
        self.basis = BesselBasis(config.n_radial, config.cutoff)
        self.messages = nn.ModuleList(
            Message(f, config.n_radial, vectors_in=k > 0) for k in range(config.layers)
        )
        self.updates = nn.ModuleList(
            Update(f, k < last, config.softening) for k in range(config.layers)
        )
        self.readout = mlp(f, f // 2, 1)
        self.zbl = ZBL(config.elements)

    def forward(self, species: Tensor, vectors: Tensor, edges: EdgeList) -> Tensor:
        """species (N,) indices into the elements; vectors (E, 3) in Å, from centre to neighbour.

        Returns (N,) energies in eV. Edges at or beyond the cutoff count nothing.
        """
        r = torch.sqrt((vectors * vectors).sum(-1))
        unit = vectors / r.unsqueeze(-1)
        seen = held(r)
        radial, envelope = self.basis(seen), cutoff_envelope(seen / self.cutoff)

        s = self.embedding(species)
        v = torch.zeros([s.shape[0], 3, self.hidden], dtype=s.dtype, device=s.device)
        # TorchScript's zip knows no `strict`
        for message, update in zip(self.messages, self.updates):
            ds, dv = message(s, v, radial, envelope, unit, edges)
            s, v = update(s + ds, v + dv)

        repulsion = self.zbl(edges.centres(species), edges.neighbours(species), r)
        return self.readout(s).squeeze(-1) + 0.5 * edges.sum(repulsion)
