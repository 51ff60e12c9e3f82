"""A neighbour list that lives inside a TorchScript module, between the steps of an MD run."""

import torch
from torch import Tensor, nn

from distill.student.edges import edges_within

PAIRS_AT_ONCE = 1 << 15
"""Distances worked on at a time while the list is built: they stay in the processor's cache."""


class SkinNeighbours(nn.Module):
    """Keeps all pairs within cutoff + skin until an atom has moved half the skin, or the box has.

    The state is in buffers, so that it follows the module to another device. It is checked
    against the positions of every call: two OpenMM Contexts may share the module.
    """

    built_positions: Tensor
    built_box: Tensor
    pairs: Tensor
    shifts: Tensor

    def __init__(self, cutoff: float, skin: float):
        super().__init__()
        self.cutoff = cutoff
        self.skin = skin
        self.rebuilds = 0
        self.pairs_at_once = PAIRS_AT_ONCE
        self.built_periodic = False
        self.register_buffer("built_positions", torch.zeros((0, 3), dtype=torch.float64))
        self.register_buffer("built_box", torch.zeros((3, 3), dtype=torch.float64))
        self.register_buffer("pairs", torch.zeros((2, 0), dtype=torch.int64))
        self.register_buffer("shifts", torch.zeros((0, 3), dtype=torch.float64))

    def forward(self, positions: Tensor, box: Tensor | None) -> tuple[Tensor, Tensor]:
        """edge_index (2, E) and edge_shift (E, 3) of the pairs within the cutoff, as for Student.

        positions (N, 3) and box (3, 3), rows as vectors, in Å; box None without periodicity.
        """
        if not self.still_good(positions, box):
            self.build(positions, box)
        return edges_within(positions, self.pairs, self.shifts, self.cutoff)

    @torch.jit.unused
    def forget(self) -> None:
        """The next call builds the list anew."""
        self.built_positions = self.built_positions.new_zeros((0, 3))

    def still_good(self, positions: Tensor, box: Tensor | None) -> bool:
        """Whether the list holds every pair within the cutoff."""
        old = self.built_positions
        if old.shape != positions.shape or old.dtype != positions.dtype:
            return False
        if self.built_periodic != (box is not None):
            return False
        if box is not None and not torch.equal(box, self.built_box):
            return False
        moved = positions - old
        # NaN compares as moved
        return bool((moved * moved).sum(1).max() <= (0.5 * self.skin) ** 2)

    def build(self, positions: Tensor, box: Tensor | None) -> None:
        """All directed pairs within cutoff + skin: every atom against every atom and its images."""
        if not bool(torch.isfinite(positions).all()):
            raise RuntimeError(
                "A particle has a coordinate that is NaN or infinite: the simulation broke up."
            )
        n, reach = positions.shape[0], self.cutoff + self.skin
        images = torch.zeros((1, 3), dtype=positions.dtype, device=positions.device)
        to_fractional = images
        if box is not None:
            to_fractional = torch.linalg.inv(box)
            images = image_shifts(to_fractional, reach)

        # an atom and its own images, then every pair of two atoms once
        own = images[1:] @ box if box is not None else images[1:]
        own = own[(own * own).sum(1) < reach * reach]
        atoms = torch.arange(n, device=positions.device)
        pairs = [atoms.repeat_interleave(own.shape[0]).expand(2, -1)]
        shifts = [own.repeat(n, 1)]
        rows = max(1, self.pairs_at_once // max(1, n))
        for start in range(0, n, rows):
            later = positions[start:]
            vectors = later.unsqueeze(0) - later[:rows].unsqueeze(1)
            nearest = torch.zeros_like(vectors)
            if box is not None:
                nearest = -torch.round(vectors @ to_fractional)
                vectors = vectors + nearest @ box
            for k in range(images.shape[0]):
                image = vectors
                if box is not None and k > 0:
                    image = vectors + images[k] @ box
                close = ((image * image).sum(-1) < reach * reach).triu(1)
                found = close.nonzero().t()
                shift = nearest[found[0], found[1]]
                if box is not None:
                    shift = (shift + images[k]) @ box
                pairs += [found + start, found.flip(0) + start]
                shifts += [shift, -shift]
        self.pairs = torch.cat(pairs, 1)
        self.shifts = torch.cat(shifts)
        self.built_positions = positions.clone()
        self.built_periodic = box is not None
        if box is not None:
            self.built_box = box.clone()
        self.rebuilds += 1


def image_shifts(to_fractional: Tensor, reach: float) -> Tensor:
    """Images to look at, (K, 3) whole numbers, zero first, when pairs are at their nearest already.

    to_fractional (3, 3) is the inverse of the box. Rounding has brought a pair's fractional
    coordinates within 0.5 of zero; m boxes further it is at least (m - 0.5) heights of the box
    apart. So this is exact for triclinic boxes and for boxes smaller than the reach, and one image
    suffices for large ones.
    """
    # the norm of a column of the inverse is one over the box's height along that vector
    thin = 1.0 / float(to_fractional.norm(2, dim=0).max())
    if not thin >= 0.3:
        raise RuntimeError(
            "The box is thinner than 0.3 Å, so that every atom overlaps with its own image."
        )
    most = torch.floor(reach * to_fractional.norm(2, dim=0) + 0.5 + 1e-6)
    na, nb, nc = int(most[0]), int(most[1]), int(most[2])
    images: list[list[int]] = [[0, 0, 0]]
    for a in range(-na, na + 1):
        for b in range(-nb, nb + 1):
            for c in range(-nc, nc + 1):
                if not (a == 0 and b == 0 and c == 0):
                    images.append([a, b, c])
    return torch.tensor(images, dtype=to_fractional.dtype, device=to_fractional.device)
