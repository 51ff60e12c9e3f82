"""The kernel's torch operators: eager, TorchScript, torch.compile, autograd."""

import copy

import numpy as np
import pytest
import torch
from ase import Atoms
from torch import Tensor

from distill.kernels import KernelModule
from distill.student import Student
from distill.student.neighbours import neighbour_list

Arguments = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture
def arguments(systems: dict[str, Atoms], tiny: Student) -> Arguments:
    atoms = systems["liquid"]
    edges = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, tiny.cutoff)
    return (
        torch.tensor(atoms.positions), torch.tensor(atoms.numbers), *map(torch.tensor, edges),
    )  # fmt: skip


@pytest.mark.parametrize("way", ["eager", "script", "copy"])
def test_forward_is_the_students(tiny: Student, arguments: Arguments, way: str) -> None:
    module: torch.nn.Module = KernelModule(tiny, "float64")
    if way == "script":
        module = torch.jit.script(module)
    if way == "copy":
        module = copy.deepcopy(module)
    energy, forces = module(*arguments)
    expected = tiny(*arguments)
    assert float(energy - expected[0]) == pytest.approx(0.0, abs=1e-8)
    assert float((forces - expected[1]).abs().max()) < 1e-8


def test_float32_positions_and_arrays_that_are_not_contiguous(
    tiny: Student, arguments: Arguments
) -> None:
    x, numbers, edges, shift = arguments
    module = KernelModule(tiny)
    rounded = x.float()
    expected = tiny(rounded.double(), numbers, edges, shift)[1]
    found = module(rounded.t().contiguous().t(), numbers, edges.t().contiguous().t(), shift.float())
    assert float((found[1] - expected).abs().max()) < 1e-4


def test_md_finds_its_neighbours(tiny: Student, arguments: Arguments, systems) -> None:
    module = torch.jit.script(KernelModule(tiny, "float64"))
    x, numbers, *_ = arguments
    _, expected, virial = tiny.evaluate(*arguments)
    box = torch.tensor(systems["liquid"].cell.array)
    energies, forces, found = module.md(x, numbers, box)
    assert float((forces - expected).abs().max()) < 1e-8
    assert float((found - virial).abs().max()) < 1e-6
    alone = neighbour_list(x.numpy(), None, False, tiny.cutoff)
    expected = tiny(x, numbers, *map(torch.tensor, alone))[1]
    forces = module.md(x, numbers, torch.zeros(0, dtype=torch.float64))[1]
    assert float((forces - expected).abs().max()) < 1e-8


def test_energies_are_differentiable(tiny: Student, arguments: Arguments) -> None:
    x, *rest = arguments
    x = x.clone().requires_grad_(True)
    module = KernelModule(tiny, "float64")
    for weights in (torch.ones(len(x)), torch.linspace(-1, 1, len(x))):
        (found,) = torch.autograd.grad((module.evaluate(x, *rest)[0] * weights).sum(), x)
        (expected,) = torch.autograd.grad((tiny.atomic_energies(x, *rest) * weights).sum(), x)
        assert float((found - expected).abs().max()) < 1e-8


@pytest.mark.slow
def test_torch_compile_and_torchs_own_checks(tiny: Student, arguments: Arguments) -> None:
    x, *rest = arguments
    module = KernelModule(tiny, "float64")
    compiled = torch.compile(lambda y: module.evaluate(y, *rest)[0].sum() * 2, fullgraph=True)
    assert float(compiled(x) - 2 * tiny(*arguments)[0]) == pytest.approx(0.0, abs=1e-6)
    operands = (
        module.meta, module.packed, x.clone().requires_grad_(True), *rest, module.all_ones, 1,
    )  # fmt: skip
    torch.library.opcheck(torch.ops.distill.painn.default, operands)
    torch.library.opcheck(
        torch.ops.distill.painn_md.default,
        (module.meta, module.packed, x, rest[0], module.all_ones, module.list, 1.0, 1),
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda a: (a[0], a[1].int(), *a[2:]), "numbers must be int64"),
        (lambda a: (a[0], a[1][:-1], *a[2:]), "do not go together"),
        (lambda a: (a[0], a[1] * 0 + 92, *a[2:]), "atomic number 92"),
        (lambda a: (a[0].to(torch.float16), *a[1:]), "float32 or float64"),
    ],
)
def test_errors_are_sentences(tiny: Student, arguments: Arguments, change, sentence: str) -> None:
    with pytest.raises(RuntimeError, match=sentence):
        KernelModule(tiny)(*change(arguments))
    assert np.isfinite(float(KernelModule(tiny)(*arguments)[0]))
