"""Training through the kernel: energies and forces of a batch, and gradients by the weights.

No second derivative is taken. With v = dL/dF held fixed, the gradient of a force loss is that of
-v . dE/dx, a derivative of dE/dw along v: two energy gradients, at x + eps v and x - eps v, give it
(error of order eps^2; the largest displacement is 0.0007 Å).
"""

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill.kernels.library import call, pointer
from distill.kernels.weights import INTERVALS, aligned, describe, pack, sizes
from distill.student.student import Student

DISPLACEMENT = 0.0007
"""Å, the largest of a molecule's atoms. In float32 the gradient of a force loss is then within
0.02 (`ultra-tiny`) to 0.06 percent (`original`) of the double backward in float64; three times as
far it is the curvature that shows (0.01 to 0.4 percent), a third as far the rounding (0.05)."""


class _Batch(ctypes.Structure):
    """``DistillBatch`` of csrc/api.h."""

    _fields_ = [
        ("n_molecules", ctypes.c_int64),
        ("first_atom", ctypes.c_void_p),
        ("numbers", ctypes.c_void_p),
        ("positions", ctypes.c_void_p),
        ("first_pair", ctypes.c_void_p),
        ("centre", ctypes.c_void_p),
        ("neighbour", ctypes.c_void_p),
        ("shift", ctypes.c_void_p),
    ]


class KernelBatch:
    """Molecules side by side. first_atom (M + 1,), numbers (N,), positions (N, 3) in Å; pairs once
    each: first_pair (M + 1,), centre and neighbour (P,), shift (P, 3) or None."""

    def __init__(
        self, first_atom: Any, numbers: Any, positions: Any, first_pair: Any, centre: Any,
        neighbour: Any, shift: Any = None,
    ):  # fmt: skip
        self.first_atom = np.ascontiguousarray(first_atom, dtype=np.int64)
        self.numbers = np.ascontiguousarray(numbers, dtype=np.int64)
        self.positions = np.ascontiguousarray(positions, dtype=np.float64)
        self.first_pair = np.ascontiguousarray(first_pair, dtype=np.int64)
        self.centre = np.ascontiguousarray(centre, dtype=np.int32)
        self.neighbour = np.ascontiguousarray(neighbour, dtype=np.int32)
        self.shift = None if shift is None else np.ascontiguousarray(shift, dtype=np.float64)
        self.n_molecules = len(self.first_atom) - 1
        self.pointers = _Batch(
            self.n_molecules, pointer(self.first_atom), pointer(self.numbers),
            pointer(self.positions), pointer(self.first_pair), pointer(self.centre),
            pointer(self.neighbour), pointer(self.shift),
        )  # fmt: skip

    def __len__(self) -> int:
        return self.n_molecules


class TrainingKernel:
    """Forward and backward passes of a student whose weights change from call to call."""

    def __init__(
        self, student: Student, dtype: str = "float32", *, threads: int = 1,
        intervals: int | None = None,
    ):  # fmt: skip
        self.meta = describe(student, intervals or INTERVALS[dtype])
        self.threads = threads
        self.parameters, packed = sizes(self.meta)
        self.packed = aligned(packed, dtype)
        self._model = (
            pointer(self.meta), len(self.meta), 8 * self.packed.itemsize, pointer(self.packed),
        )  # fmt: skip

    def set_parameters(self, flat: NDArray[Any]) -> None:
        """Takes new weights, flat as ``named_parameters`` orders them."""
        pack(self.meta, np.ascontiguousarray(flat, dtype=self.packed.dtype), self.packed)

    def evaluate(self, batch: KernelBatch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Energies (M,) and forces (N, 3)."""
        energies, forces = np.empty(len(batch)), np.empty_like(batch.positions)
        call(
            "distill_batch", *self._model, ctypes.addressof(batch.pointers), self.threads,
            pointer(energies), pointer(forces),
        )  # fmt: skip
        return energies, forces

    def gradients(
        self,
        batch: KernelBatch,
        of_energies: NDArray[np.float64],
        of_forces: NDArray[np.float64],
        displacement: float = DISPLACEMENT,
    ) -> NDArray[Any]:
        """dL/dw, flat, from dL/dE (M,) and dL/dF (N, 3)."""
        v = np.ascontiguousarray(of_forces, dtype=np.float64)
        lengths = np.sqrt((v * v).sum(1))
        largest = np.maximum.reduceat(lengths, batch.first_atom[:-1])
        moving = largest > 0
        eps = np.where(moving, displacement / np.where(moving, largest, 1.0), 0.0)
        # -v . dE/dx = -(E(x + eps v) - E(x - eps v)) / (2 eps); the energies' part rides along
        slope = np.where(moving, 0.5 / np.where(moving, eps, 1.0), 0.0)
        plus = 0.5 * of_energies - slope
        minus = 0.5 * of_energies + slope
        result = np.empty(self.parameters, dtype=self.packed.dtype)
        call(
            "distill_gradients", *self._model, ctypes.addressof(batch.pointers), pointer(v),
            pointer(eps), pointer(plus), pointer(minus), self.threads, pointer(result),
        )  # fmt: skip
        return result
