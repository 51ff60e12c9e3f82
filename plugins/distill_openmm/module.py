"""What OpenMM calls: positions in nm to energy in kJ/mol and forces in kJ/mol/nm."""

import math

import torch
from ase import units
from torch import Tensor, nn

from distill.kernels import KernelModule
from distill.student import Student
from distill_openmm.neighbours import SkinNeighbours

ANGSTROM_PER_NM = 10.0
KJ_PER_MOL_PER_EV = units.mol / units.kJ


class OpenMMStudent(nn.Module):
    """A student behind OpenMM's units, with its neighbour list; to be scripted.

    numbers: the atomic numbers of the student's N atoms. atoms: their indices in the System, or
    None for its first N particles. Forces on other particles are zero. kernel: the same student's,
    which then does the work wherever the positions are on the CPU, or None.
    """

    numbers: Tensor
    atoms: Tensor
    no_box: Tensor

    def __init__(
        self,
        student: Student,
        numbers: list[int],
        atoms: list[int] | None,
        skin: float,
        kernel: KernelModule | None = None,
    ):
        super().__init__()
        self.student = student
        self.kernel = kernel
        self.neighbours = SkinNeighbours(student.config.cutoff, skin)
        self.count = len(numbers)
        self.is_subset = atoms is not None
        self.needed = 1 + max(atoms) if atoms else self.count
        self.length, self.energy = ANGSTROM_PER_NM, KJ_PER_MOL_PER_EV
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.int64))
        self.register_buffer("atoms", torch.tensor(atoms or [], dtype=torch.int64))
        self.register_buffer("no_box", torch.zeros(0, dtype=torch.float64))

    def forward(self, positions: Tensor, box: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """positions (M, 3) of the System and, when periodic, its box (3, 3), in nm.

        Returns the energy () float64 in kJ/mol and the forces (M, 3) in kJ/mol/nm.
        """
        particles = positions.shape[0]
        if particles < self.needed:
            raise RuntimeError(
                f"The System has {particles} particles, but the student acts on particles up to "
                f"index {self.needed - 1}; give create_force the topology of this System, or the "
                "student's atoms in it."
            )
        inner = positions.detach() * self.length
        if self.is_subset:
            inner = inner.index_select(0, self.atoms)
        elif particles > self.count:
            inner = inner[: self.count]
        if box is not None:
            box = box.to(inner.dtype) * self.length
        energy, forces = self.compute(inner, box)
        forces = forces.to(positions.dtype) * (self.energy * self.length)
        if self.is_subset:
            forces = torch.zeros_like(positions).index_copy(0, self.atoms, forces)
        elif particles > self.count:
            others = torch.zeros_like(positions[self.count :])
            forces = torch.cat([forces, others])
        return energy * self.energy, forces

    def compute(self, positions: Tensor, box: Tensor | None) -> tuple[Tensor, Tensor]:
        """Energy () in eV and forces in eV/Å, of the student's atoms alone."""
        if self.kernel is not None:
            if not positions.is_cuda:
                cell = self.no_box
                if box is not None:
                    cell = box.double()
                # NaN is what OpenMM and its reporters look for. The sum is finite if all
                # coordinates are.
                total = positions.sum()
                if not math.isfinite(float(total)):
                    broken = total.double() * float("nan")
                    return broken, broken.expand(positions.shape)
                energies, forces, _ = self.kernel.md(positions, self.numbers, cell)
                return energies.sum(), forces
        edge_index, edge_shift = self.neighbours(positions, box)
        return self.student(positions, self.numbers, edge_index, edge_shift)
