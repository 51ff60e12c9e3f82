"""Ziegler-Biersack-Littmark repulsion: keeps atoms apart where no teacher label reaches."""

import torch
from ase.data import covalent_radii
from torch import Tensor, nn

from distill.student.radial import cutoff_envelope

COULOMB = 14.399645478425668
"""e^2 / (4 pi epsilon_0) in eV Å."""


class ZBL(nn.Module):
    """Screened nuclear repulsion (Ziegler, Biersack, Littmark, 1985).

    It is switched off smoothly at the sum of the two covalent radii, so that it is felt only by
    bonds pressed shorter than they are in any ordinary geometry.
    """

    z: Tensor
    inverse_screening: Tensor
    radii: Tensor

    def __init__(self, elements: tuple[int, ...]):
        super().__init__()
        self.coulomb = COULOMB
        z = torch.tensor(elements, dtype=torch.float64)
        radii = torch.tensor([covalent_radii[e] for e in elements], dtype=torch.float64)
        screening = z**0.23 / (0.8854 * 0.529177210903)
        self.register_buffer("z", z.float(), persistent=False)
        self.register_buffer("inverse_screening", screening.float(), persistent=False)
        self.register_buffer("radii", radii.float(), persistent=False)

    def forward(self, species_i: Tensor, species_j: Tensor, r: Tensor) -> Tensor:
        """Pair energies (E,) in eV, half of which belongs to each of the two atoms.

        species: (E,) indices into the elements; r: (E,) distances in Å.
        """
        x = r * (self.inverse_screening[species_i] + self.inverse_screening[species_j])
        phi = (
            0.18175 * torch.exp(-3.19980 * x)
            + 0.50986 * torch.exp(-0.94229 * x)
            + 0.28022 * torch.exp(-0.40290 * x)
            + 0.02817 * torch.exp(-0.20162 * x)
        )
        envelope = cutoff_envelope(r / (self.radii[species_i] + self.radii[species_j]))
        return self.coulomb * self.z[species_i] * self.z[species_j] / r * phi * envelope
