"""One training step: the loss of a batch and its gradients by the parameters.

The only place that knows how they are computed. Three ways, same numbers:

- kernel: the fused C++ kernel, without second derivatives; the fastest, on CPUs only
  (:mod:`distill.train.kernel_step`);
- eager: autograd, twice (forces are a derivative, their loss needs another);
- compiled: the eager step traced once into a flat graph, both derivatives included, and handed to
  the compiler (``torch.compile``). Three to four times as fast on a CPU; compiling takes a minute,
  once a machine and size, thanks to the compiler's cache.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from distill import kernels
from distill.errors import DistillError, first_line
from distill.student.edges import EdgeList
from distill.student.student import Student
from distill.train.graphs import Batch
from distill.train.kernel_step import KernelStep

COMPONENTS = ("loss", "force_loss", "energy_loss", "force_sse")
"""What a step reports: the loss, its two parts, and the mean squared force error per atom."""


@dataclass(frozen=True)
class Loss:
    """Mean norm of the force error (eV/Å) + energy_weight x mean |energy error| per atom (eV).

    With a force_delta (eV/Å), a norm n counts as sqrt(n^2 + delta^2) - delta: below delta by its
    square (the pseudo-Huber loss). Its gradient fades as errors do, where that of the norm has one
    length to the end.

    With a relative weight, energy_weight goes to the error that geometries of the same molecule
    have in common, and relative_weight to what is left: the former is a wrong heat of formation,
    the latter is what MD feels, and many times smaller.
    """

    energy_weight: float = 10.0
    relative_weight: float = 0.0
    force_delta: float = 0.0

    def __call__(self, batch: Any, energy: Tensor, forces: Tensor) -> tuple[Tensor, ...]:
        """batch: a Batch or a KernelInput."""
        squared = ((forces - batch.forces) ** 2).sum(-1) * batch.atom_weight
        atoms, molecules = batch.atom_weight.sum(), batch.molecule_weight.sum()
        # the norm's gradient is undefined at zero, where padding lives
        force = counted = ((squared + 1e-10).sqrt() * batch.atom_weight).sum() / atoms
        if self.force_delta:
            soft = (squared + self.force_delta**2).sqrt() - self.force_delta
            counted = (soft * batch.atom_weight).sum() / atoms
        error = (energy - batch.energy) * batch.inverse_size * batch.molecule_weight
        per_atom = error.abs().sum() / molecules
        energy_loss = self.energy_weight * per_atom
        if self.relative_weight:
            common = self._common(batch, error)
            energy_loss = (
                self.energy_weight * common.abs().sum()
                + self.relative_weight * (error - common).abs().sum()
            ) / molecules
        return counted + energy_loss, force, per_atom, squared.sum() / atoms

    @staticmethod
    def _common(batch: Any, error: Tensor) -> Tensor:
        """(M,) the mean error of the group that each is of."""
        none = torch.zeros_like(error)
        sums = none.index_add(0, batch.group, error)
        counts = none.index_add(0, batch.group, batch.molecule_weight)
        return (sums / counts.clamp(min=1.0))[batch.group]


class Step(Protocol):
    """Takes the parameters (in ``named_parameters`` order) and a batch: a ``Batch``, or a
    ``KernelInput`` for the kernel's step.

    Returns the components of the loss (see COMPONENTS) as one tensor (4,), and the gradients.
    """

    def __call__(
        self, parameters: Sequence[Tensor], batch: Any
    ) -> tuple[Tensor, tuple[Tensor, ...]]: ...


class EagerStep:
    """Autograd through autograd: works everywhere."""

    def __init__(self, student: Student, loss: Loss):
        self.painn = student.painn
        self.names = [name for name, _ in student.painn.named_parameters()]
        self.loss = loss

    def __call__(
        self, parameters: Sequence[Tensor], batch: Batch
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        parameters = [p.detach().requires_grad_(True) for p in parameters]
        vectors = batch.vectors.detach().requires_grad_(True)
        edges = EdgeList(torch.stack([batch.centre, batch.neighbour]), batch.species.shape[0])
        with torch.enable_grad():
            atomic = torch.func.functional_call(
                self.painn, dict(zip(self.names, parameters)), (batch.species, vectors, edges)
            )
            (slope,) = torch.autograd.grad(atomic.sum(), vectors, create_graph=True)
            forces = edges.sum(slope).index_add(0, edges.j, slope, alpha=-1.0)
            energy = torch.zeros_like(batch.energy).index_add(0, batch.molecule, atomic)
            components = self.loss(batch, energy, forces)
            gradients = torch.autograd.grad(components[0], parameters)
        return torch.stack(components).detach(), gradients


class CompiledStep:
    """The eager step as one compiled graph; every batch must have the same shape."""

    def __init__(self, student: Student, loss: Loss):
        self.eager = EagerStep(student, loss)
        self._compiled: Callable[..., tuple[Tensor, ...]] | None = None

    def __call__(
        self, parameters: Sequence[Tensor], batch: Batch
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        parameters = [p.detach() for p in parameters]
        if self._compiled is None:
            self._compiled = self._compile(parameters, batch)
        components, *gradients = self._compiled(*parameters, *batch.tensors())
        return components, tuple(gradients)

    def _compile(
        self, parameters: Sequence[Tensor], batch: Batch
    ) -> Callable[..., tuple[Tensor, ...]]:
        # imported late: importing it takes seconds
        from torch.fx.experimental.proxy_tensor import make_fx

        n = len(parameters)

        def flat(*tensors: Tensor) -> tuple[Tensor, ...]:
            components, gradients = self.eager(tensors[:n], Batch(*tensors[n:]))
            return components, *gradients

        graph = make_fx(flat)(*parameters, *batch.tensors())
        compiled: Callable[..., tuple[Tensor, ...]] = torch.compile(graph, dynamic=False)
        compiled(*parameters, *batch.tensors())  # compile now, where a failure can be caught
        return compiled


def use_kernel(backend: str, accelerator: str = "cpu") -> bool:
    """Whether a step of this backend is the kernel's, which "auto" prefers on CPUs.

    DistillError when the kernel is asked for and cannot be had.
    """
    if backend == "kernel" and accelerator != "cpu":
        raise DistillError("The kernel trains on CPUs; use --backend auto, or accelerator 'cpu'.")
    if backend == "kernel" and not kernels.available():
        raise DistillError(f"There is no kernel to train with: {kernels.why_not()}.")
    return backend == "kernel" or (
        backend == "auto" and accelerator == "cpu" and kernels.available()
    )


def make_step(student: Student, loss: Loss, backend: str, example: Any) -> tuple[Step, str]:
    """A step, and the name of its backend ("kernel", "compiled" or "eager").

    backend: "auto" takes the compiled one where a compiler is there and falls back to eager.
    example: a batch of the kind that the step takes; a Batch, unless it is the kernel's.
    """
    if backend == "kernel":
        return KernelStep(student, loss), "kernel"
    if backend == "eager" or (backend == "auto" and not can_compile()):
        return EagerStep(student, loss), "eager"
    step = CompiledStep(student, loss)
    try:
        step(parameters_of(student), example)
    except Exception as error:  # the compiler can fail in any way; training must not
        if backend == "compiled":
            raise DistillError(
                f"torch.compile failed ({type(error).__name__}: {first_line(error)}); "
                "use --backend auto."
            ) from error
        return EagerStep(student, loss), "eager"
    return step, "compiled"


def can_compile() -> bool:
    """Whether torch.compile finds what it needs: a C++ compiler (or a GPU with Triton)."""
    compiler = any(shutil.which(name) for name in ("g++", "clang++", "c++"))
    return torch.cuda.is_available() or compiler


def parameters_of(student: Student) -> list[nn.Parameter]:
    """The trainable parameters, in the order of a step's gradients."""
    return list(student.painn.parameters())
