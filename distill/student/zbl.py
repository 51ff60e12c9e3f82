"""Ziegler-Biersack-Littmark repulsion: keeps atoms apart where no teacher label reaches."""

import torch
from ase.data import covalent_radii
from torch import Tensor

from distill.student.precise import PreciseBuffers
from distill.student.radial import cutoff_envelope

COULOMB = 14.399645478425668
"""e^2 / (4 pi epsilon_0) in eV Å."""


class ZBL(PreciseBuffers):
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
        self.register_buffer("z", z, persistent=False)
        self.register_buffer("inverse_screening", screening, persistent=False)
        self.register_buffer("radii", radii, persistent=False)

    def forward(self, species_i: Tensor, species_j: Tensor, r: Tensor) -> Tensor:
        """Pair energies (E,) in eV, half of which belongs to each of the two atoms.

        species: (E,) indices into the elements; r: (E,) distances in Å.
        """
        screening = self.inverse_screening[species_i] + self.inverse_screening[species_j]
        reach = self.radii[species_i] + self.radii[species_j]
        charges = self.coulomb * self.z[species_i] * self.z[species_j]
        x = r * screening.to(r.dtype)
        phi = (
            0.18175 * torch.exp(-3.19980 * x)
            + 0.50986 * torch.exp(-0.94229 * x)
            + 0.28022 * torch.exp(-0.40290 * x)
            + 0.02817 * torch.exp(-0.20162 * x)
        )
        return charges.to(r.dtype) / r * phi * cutoff_envelope(r / reach.to(r.dtype))
