"""What ``architecture.py`` compares: the sizes as they are, and with one thing changed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from distill.student import SIZES, Student
from distill.student.config import StudentConfig
from distill.student.edges import EdgeList
from distill.student.painn import PaiNN, mlp
from distill.student.radial import BesselBasis

BUDGETS = {"original": 427_292, "tiny": 77_203, "ultra-tiny": 21_459}
"""Trainable parameters that a size may have."""


@dataclass(frozen=True)
class Variant:
    """change: what the kernel does not know, done to an untrained student; it trains in torch."""

    config: StudentConfig
    optimizer: str = "muon"
    change: Callable[[Student], None] | None = None

    def student(self, seed: int = 0) -> Student:
        """Untrained."""
        torch.manual_seed(seed)
        student = Student(self.config)
        if self.change:
            self.change(student)
        return student


def of_kernel(size: str) -> dict[str, Variant]:
    """Variants that the kernel trains. The first is the size as it is."""
    base = SIZES[size]
    found = {
        "as it is": Variant(base),
        "AdamW": Variant(base, "adamw"),
        "cutoff 4.5 Å": Variant(replace(base, cutoff=4.5)),
        "cutoff 6 Å": Variant(replace(base, cutoff=6.0)),
        "8 radial functions": Variant(replace(base, n_radial=8)),
        "12 radial functions": Variant(replace(base, n_radial=12)),
        "32 radial functions": Variant(replace(base, n_radial=32)),
    }
    for hidden, layers in {
        128: [(96, 4), (128, 2)],
        64: [(48, 3), (80, 1)],
        32: [(16, 4), (48, 1)],
    }[base.hidden]:
        found[f"{hidden} x {layers}"] = Variant(replace(base, hidden=hidden, layers=layers))
    return found


def of_torch(size: str) -> dict[str, Variant]:
    """Variants that only torch knows, each within the size's budget."""
    base = SIZES[size]
    fewer = {"ultra-tiny": 15, "tiny": 12, "original": 12}[size]
    return {
        "GELU": Variant(base, change=lambda s: nonlinearity(s, partial(nn.GELU, "tanh"))),
        "shifted softplus": Variant(base, change=lambda s: nonlinearity(s, ShiftedSoftplus)),
        "3 filters by element pair, 7 radial functions": Variant(
            replace(base, n_radial=21), change=element_pairs
        ),
        "filters tied between layers": Variant(base, change=tied),
        "message half as wide, update whole": Variant(
            replace(base, n_radial=fewer), change=lambda s: widths(s, 0.5, 1.0, 0.5)
        ),
        "message 1.5, update a quarter": Variant(
            replace(base, n_radial=8), change=lambda s: widths(s, 1.5, 0.25, 0.5)
        ),
        "readout as wide as the features": Variant(
            base, change=lambda s: widths(s, 1.0, 0.5, 1.0)
        ),
    }  # fmt: skip


class ShiftedSoftplus(nn.Module):
    """ln(1/2 + exp(x)/2), SchNet's."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.softplus(x) - 0.6931471805599453


def nonlinearity(student: Student, make: Callable[[], nn.Module]) -> None:
    """Another nonlinearity everywhere."""
    for module in list(student.painn.modules()):
        if isinstance(module, nn.Sequential):
            module[1] = make()


class Columns(nn.Module):
    """The first columns of another layer's result."""

    def __init__(self, whole: nn.Module, columns: int):
        super().__init__()
        self.whole, self.columns = whole, columns

    def forward(self, x: Tensor) -> Tensor:
        return self.whole(x)[..., : self.columns]


def tied(student: Student) -> None:
    """All layers with the last one's filters."""
    *others, last = student.painn.messages
    for message in others:
        message.filter = Columns(last.filter, message.parts * message.hidden)


def widths(student: Student, message: float, update: float, readout: float) -> None:
    """The networks' hidden layers, as multiples of the features."""
    painn = student.painn
    f = painn.hidden
    for block in painn.messages:
        block.phi = mlp(f, int(message * f), block.parts * f)
    for block in painn.updates:
        block.a = mlp(2 * f, int(update * f), (3 if block.vectors_out else 2) * f)
    painn.readout = mlp(f, int(readout * f), 1)


class BasisOfPair(nn.Module):
    """A third as many Bessel functions, in one of three places: both atoms hydrogen, one, none."""

    def __init__(self, n_radial: int, cutoff: float):
        super().__init__()
        self.basis = BesselBasis(n_radial // 3, cutoff)
        self.kind: Tensor | None = None

    def forward(self, r: Tensor) -> Tensor:
        kinds = torch.arange(3, device=r.device)
        one_hot = (self.kind.unsqueeze(-1) == kinds).to(r.dtype)  # type: ignore[union-attr]
        return (one_hot.unsqueeze(-1) * self.basis(r).unsqueeze(-2)).flatten(-2)


class PaiNNOfPairs(PaiNN):
    """Tells its basis which elements an edge joins."""

    def forward(self, species: Tensor, vectors: Tensor, edges: EdgeList) -> Tensor:
        heavy = (species > 0).long()  # hydrogen is the first element
        self.basis.kind = edges.centres(heavy) + edges.neighbours(heavy)
        return super().forward(species, vectors, edges)


def element_pairs(student: Student) -> None:
    """Filters that depend on whether the two atoms are hydrogens."""
    assert student.config.elements[0] == 1
    student.painn = PaiNNOfPairs(student.config)
    student.painn.basis = BasisOfPair(student.config.n_radial, student.config.cutoff)
