"""The student: a PaiNN with reference energies, which answers in energies, forces and virial."""

from typing import Any

import torch
from ase.data import chemical_symbols
from torch import Tensor

from distill.charge import check_charge
from distill.elements import check_known
from distill.student.autograd import as_usual, usual
from distill.student.config import StudentConfig, size_config
from distill.student.edges import EdgeList
from distill.student.latent import Latent
from distill.student.painn import PaiNN
from distill.student.precise import PreciseBuffers


class Student(PreciseBuffers):
    """A small potential. All arguments and results are in eV and Å.

    positions (N, 3), float64 also for a float32 student; numbers (N,) int64 atomic numbers;
    edge_index (2, E) int64, both directions of every pair; edge_shift (E, 3): an edge (i, j) has
    the vector ``positions[j] + edge_shift - positions[i]``. Edges beyond the cutoff count nothing.
    Several molecules may be evaluated at once, as one graph without edges between them.

    config: the architecture. card: the header of its file (teacher, training set, errors). latent:
    what tells how unlike its training set an atom is, where that has been fitted.
    """

    reference: Tensor
    species_of: Tensor

    def __init__(self, config: StudentConfig, card: dict[str, Any] | None = None):
        super().__init__()
        self.config = config
        self.card = dict(card or {})
        self.latent: Latent | None = None
        self.painn = PaiNN(config)
        self.cutoff = config.cutoff
        # energies of the isolated atoms are large (hundreds of eV): always added in float64
        self.register_buffer("reference", torch.zeros(len(config.elements), dtype=torch.float64))
        species_of = torch.full((len(chemical_symbols),), -1, dtype=torch.int64)
        species_of[list(config.elements)] = torch.arange(len(config.elements))
        self.register_buffer("species_of", species_of, persistent=False)

    @classmethod
    def untrained(cls, size: str, seed: int = 0) -> "Student":
        """A student of a named size with random weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(size_config(size))

    def check_elements(self, numbers: Any) -> None:
        """Raises DistillError when ``numbers`` (any integer sequence) has an unknown element."""
        check_known(numbers, self.config.elements)

    def knows(self, numbers: Tensor) -> Tensor:
        """Which of the atomic numbers, whatever these are: (N,) bool."""
        n = self.species_of.shape[0]
        species = self.species_of.index_select(0, numbers.clamp(0, n - 1))
        return (species >= 0) & (numbers >= 0) & (numbers < n)

    def check_charge(self, charge: int | None) -> None:
        """Raises DistillError when no molecule of the training set had this charge (in e).

        The charge itself is no input: a student knows it from the atoms' surroundings alone. None,
        a charge that nobody has named, is let through.
        """
        check_charge(charge, self.card.get("charges"))

    def atomic_energies(
        self, positions: Tensor, numbers: Tensor, edge_index: Tensor, edge_shift: Tensor
    ) -> Tensor:
        """(N,) float64, in eV, differentiable by positions and parameters."""
        edges = EdgeList(edge_index, positions.shape[0])
        vectors = self.edge_vectors(positions, edge_shift, edges)
        return self.energies_of(numbers, vectors, edges)

    def edge_vectors(self, positions: Tensor, edge_shift: Tensor, edges: EdgeList) -> Tensor:
        """(E, 3) from centre to neighbour, in the precision of the parameters.

        The subtraction is done in the precision of the positions: float64 positions far from the
        origin lose nothing, though a float32 student looks at them.
        """
        vectors = edges.neighbours(positions) + edge_shift - edges.centres(positions)
        return vectors.to(self.painn.embedding.weight.dtype)

    def energies_of(self, numbers: Tensor, vectors: Tensor, edges: EdgeList) -> Tensor:
        """(N,) float64 from edge vectors (E, 3)."""
        # not self.species_of[numbers], which counts negative numbers from the end
        species = self.species_of.index_select(0, numbers)
        return self.painn(species, vectors, edges).double() + self.reference[species]

    def evaluate(
        self, positions: Tensor, numbers: Tensor, edge_index: Tensor, edge_shift: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Atomic energies (N,) float64, forces (N, 3), virial (3, 3) = stress x volume, ASE's sign.

        Nothing in the result is differentiable: the derivatives are taken inside, by the edge
        vectors, on which energy, forces and virial all depend. That goes in ``torch.no_grad``, and
        in ``torch.inference_mode`` and ``autocast`` too, but for TorchScript: it cannot leave them.

        On the CPU an element that the student does not know raises.
        """
        if torch.jit.is_scripting():
            return self._evaluate(positions, numbers, edge_index, edge_shift)
        else:
            with as_usual(positions.device.type):
                return self._evaluate(
                    usual(positions), usual(numbers), usual(edge_index), usual(edge_shift)
                )

    def _evaluate(
        self, positions: Tensor, numbers: Tensor, edge_index: Tensor, edge_shift: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        if numbers.device.type == "cpu":  # elsewhere a look at the numbers waits for the device
            known = self.knows(numbers)
            if not bool(known.all()):
                if torch.jit.is_scripting():
                    z = int(numbers[torch.logical_not(known)][0])
                    raise ValueError(f"The student does not know the element of atomic number {z}.")
                else:
                    self.check_elements(numbers)
        edges = EdgeList(edge_index, positions.shape[0])
        vectors = self.edge_vectors(positions, edge_shift, edges)
        # not `with torch.enable_grad()`, which TorchScript does not know
        grad_mode = torch.is_grad_enabled()
        torch.set_grad_enabled(True)
        vectors = vectors.detach().requires_grad_(True)
        energies = self.energies_of(numbers, vectors, edges)
        if not energies.requires_grad:
            torch.set_grad_enabled(grad_mode)
            raise ValueError(
                "Forces need gradients, which torch.inference_mode forbids; use torch.no_grad."
            )
        slope = torch.autograd.grad([energies.sum()], [vectors])[0]
        torch.set_grad_enabled(grad_mode)
        assert slope is not None  # for TorchScript
        forces = edges.sum(slope).index_add(0, edges.j, slope, alpha=-1.0)
        return energies.detach(), forces, vectors.detach().t() @ slope

    def forward(
        self, positions: Tensor, numbers: Tensor, edge_index: Tensor, edge_shift: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Energy () float64 and forces (N, 3)."""
        energies, forces, _ = self.evaluate(positions, numbers, edge_index, edge_shift)
        return energies.sum(), forces
