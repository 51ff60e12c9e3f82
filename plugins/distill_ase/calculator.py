"""``StudentCalculator``: a student as an ASE calculator."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from distill.errors import DistillError
from distill.student import Student, load_student
from distill.student.neighbours import SkinList

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
CLOSEST = 0.3
"""Å; atoms nearer than this are a mistake in the input, not chemistry."""


class StudentCalculator(Calculator):
    """Energy, energies, forces and stress of a student, with and without periodic boundaries.

    student: a shipped name, a file, or a Student (which is copied). device: a torch device.
    dtype: "float32" or "float64", the precision of the network. backend: "torch", or "auto", which
    takes the fastest that is there. skin: Å beyond the cutoff that the neighbour list holds; it is
    built anew when an atom has moved half of it.

    The energy includes the isolated atoms' energies. The stress (Voigt, eV/Å^3) is given when the
    cell has a volume. Raises DistillError for unknown elements, atoms closer than 0.3 Å,
    coordinates that are not finite, and an empty system.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]

    def __init__(
        self,
        student: str | Path | Student = "tiny",
        device: str = "cpu",
        dtype: str = "float32",
        backend: str = "auto",
        skin: float = 1.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if dtype not in PRECISIONS:
            raise DistillError(f"dtype is '{dtype}'; use 'float32' or 'float64'.")
        if not skin >= 0:
            raise DistillError(f"skin is {skin}; use a length in Å that is not negative.")
        check_backend(backend)
        check_device(device)
        own = copy.deepcopy(student) if isinstance(student, Student) else load_student(student)
        own = own.eval().requires_grad_(False)
        self.student: Student = own.to(device=device, dtype=PRECISIONS[dtype])
        self.device = torch.device(device)
        self.neighbours = SkinList(self.student.config.cutoff, skin)
        # what the last call has left, as tensors: in MD, only the positions change
        self._numbers: tuple[NDArray[np.int64], torch.Tensor] | None = None
        self._edges: tuple[object, torch.Tensor, torch.Tensor] | None = None

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """ASE's entry: fills ``results`` with every property at once."""
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None, "ASE's Calculator keeps a copy"
        atoms = self.atoms
        if len(atoms) == 0:
            raise DistillError("The system has no atoms; give it at least one.")
        numbers = self._numbers_of(atoms)
        positions = torch.from_numpy(atoms.positions).to(self.device)
        edge_index, edge_shift = self._edges_of(atoms, positions)
        energies, forces, virial = self.student.evaluate(positions, numbers, edge_index, edge_shift)

        energy = float(energies.sum())
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "energies": energies.cpu().numpy(),
            "forces": forces.double().cpu().numpy(),
        }
        volume = abs(np.linalg.det(atoms.cell.array))
        if volume > 0:
            stress = virial.double().cpu().numpy() / volume
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)

    def _numbers_of(self, atoms: Atoms) -> torch.Tensor:
        if self._numbers is None or not np.array_equal(self._numbers[0], atoms.numbers):
            self.student.check_elements(atoms.numbers)
            tensor = torch.tensor(atoms.numbers, dtype=torch.int64, device=self.device)
            self._numbers = (atoms.numbers.copy(), tensor)
        return self._numbers[1]

    def _edges_of(self, atoms: Atoms, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Edges within the cutoff: dropping the skin's costs far less than the network on them."""
        edges = self.neighbours.update(atoms.positions, atoms.cell.array, atoms.pbc)
        if self._edges is None or self._edges[0] is not edges:
            index, shift = (torch.from_numpy(part).to(self.device) for part in edges)
            self._edges = (edges, index, shift)
        _, index, shift = self._edges
        if index.shape[1] == 0:
            return index, shift
        vectors = positions.index_select(0, index[1]) + shift - positions.index_select(0, index[0])
        squares = (vectors * vectors).sum(1)
        if float(squares.min()) < CLOSEST**2:
            i, j = index[:, int(squares.argmin())].tolist()
            raise DistillError(
                f"Atoms {i} and {j} are {float(squares.min()) ** 0.5:.2f} Å apart; "
                "mend the geometry, where two atoms overlap."
            )
        near = (squares < self.student.config.cutoff**2).nonzero().squeeze(1)
        return index.index_select(1, near), shift.index_select(0, near)


def check_backend(backend: str) -> None:
    """DistillError unless the backend can be had."""
    if backend == "kernel":
        raise DistillError("This version has no fused kernel yet; use backend='auto' or 'torch'.")
    if backend not in ("auto", "torch"):
        raise DistillError(f"backend is '{backend}'; use 'auto', 'torch' or 'kernel'.")


def check_device(device: str) -> None:
    """DistillError unless torch can compute there."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise DistillError(f"device '{device}' cannot be used ({reason}); use 'cpu'.") from error
