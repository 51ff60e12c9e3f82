"""The fused kernel of a device, for engines that call it step by step with numpy arrays."""

from typing import Any, Protocol

import torch

from distill.kernels.student import Answer, KernelStudent
from distill.student.student import Student


class Kernel(Protocol):
    """``KernelStudent`` on CPUs, ``distill.kernels.cuda.md.CudaMD`` on GPUs."""

    @property
    def rebuilds(self) -> int: ...

    def forget(self) -> None: ...

    def evaluate(
        self, positions: Any, numbers: Any, cell: Any = None, pbc: Any = False
    ) -> Answer: ...


def kernel_on(
    device: str, student: Student, dtype: str, skin: float, threads: int | None
) -> Kernel:
    """The student's kernel on a torch device. threads: on CPUs (None: as many as torch)."""
    if torch.device(device).type == "cpu":
        return KernelStudent(student, dtype, threads=threads or torch.get_num_threads(), skin=skin)
    from distill.kernels.cuda.md import CudaMD  # it imports triton, which need not be there

    return CudaMD(student, device, skin)
