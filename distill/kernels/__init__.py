"""The fused CPU kernel: a student's energy and forces, and its training gradients, in C++.

It runs wherever a student does: :class:`KernelStudent` on numpy arrays, :class:`KernelModule` as a
torch module (for TorchScript, ``torch.compile`` and autograd), :mod:`distill.kernels.training` for
gradients by the weights. It computes what :class:`distill.student.Student` computes; the filters
come from splines (error below 1e-5 eV/Å in forces).
"""

from distill.kernels.library import available, choose_backend, instruction_set, why_not
from distill.kernels.md import Kernel, kernel_on
from distill.kernels.module import KernelModule
from distill.kernels.student import KernelStudent

__all__ = [
    "Kernel", "KernelModule", "KernelStudent", "available", "choose_backend", "instruction_set",
    "kernel_on", "why_not",
]  # fmt: skip
