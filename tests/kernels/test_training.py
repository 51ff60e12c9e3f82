"""Gradients of a batch by the kernel against the double backward in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms

from distill.student import Student, StudentConfig
from distill.train.graphs import Capacity, Graph, collate
from distill.train.kernel_step import KernelInput, KernelStep
from distill.train.step import EagerStep, Loss, parameters_of


@pytest.fixture
def graphs(student: Student, systems: dict[str, Atoms], rng: np.random.Generator) -> list[Graph]:
    """Labels near the student's own answers, so that the loss is that of late training."""
    found = []
    for name in (
        "drug",
        "drug of 50 atoms at 1000 K",
        "a cell smaller than the cutoff",
        "one atom",
    ):
        atoms = systems[name]
        cell = atoms.cell.array if atoms.pbc.any() else None
        graph = Graph.build(
            atoms.numbers, atoms.positions, 0.0, np.zeros((len(atoms), 3)), student.cutoff, cell
        )
        shift = graph.edge_shift
        if shift is None:
            shift = np.zeros((graph.edge_index.shape[1], 3))
        energy, forces = student(
            torch.tensor(graph.positions, dtype=torch.float64), torch.tensor(graph.numbers),
            torch.tensor(graph.edge_index, dtype=torch.int64), torch.tensor(shift).double(),
        )  # fmt: skip
        found.append(
            Graph(
                graph.numbers, graph.positions, graph.edge_index, graph.edge_shift,
                float(energy) + rng.normal(), (forces.numpy() + rng.normal(0, 0.1, forces.shape)),
            )
        )  # fmt: skip
    return found


def flat(gradients: tuple[torch.Tensor, ...]) -> torch.Tensor:
    return torch.cat([g.reshape(-1).double() for g in gradients])


def test_gradients_by_shared_weights_add_up(systems: dict[str, Atoms]) -> None:
    """Against a student with a copy of the weights in each layer."""
    torch.manual_seed(2)
    shared = Student(StudentConfig("odd", hidden=32, layers=4, n_radial=6, shared=True)).double()
    apart = Student(replace(shared.config, shared=False)).double()
    state = shared.state_dict()
    for name in state:  # the last layer of one with its own weights says less
        if name.startswith("painn.updates.3.a.2."):
            state[name] = state[name][: 2 * 32]
    apart.load_state_dict(state)
    atoms = systems["drug"]
    forces = np.random.default_rng(0).normal(size=(len(atoms), 3))
    batch = KernelInput.of([Graph.build(atoms.numbers, atoms.positions, 1.0, forces, 5.0)])
    found, expected = (
        KernelStep(s, Loss(), "float64")(parameters_of(s), batch) for s in (shared, apart)
    )
    assert torch.allclose(found[0], expected[0])
    summed = {name: torch.zeros_like(p) for name, p in shared.painn.named_parameters()}
    names = {id(p): name for name, p in shared.painn.named_parameters()}
    everywhere = dict(shared.painn.named_parameters(remove_duplicate=False))
    for (name, _), gradient in zip(apart.painn.named_parameters(), expected[1]):
        summed[names[id(everywhere[name])]][: len(gradient)] += gradient
    for (name, expected_sum), gradient in zip(summed.items(), found[1]):
        assert torch.allclose(gradient, expected_sum, rtol=1e-9, atol=1e-12), name


@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_equal_the_double_backward(
    student: Student, graphs: list[Graph], threads: int
) -> None:
    capacity = Capacity.for_graphs(graphs)
    padded = collate(
        graphs, capacity, student.species_of.numpy(), student.reference.numpy(), student.cutoff
    )
    exact = type(padded)(*(t.double() if t.is_floating_point() else t for t in padded.tensors()))
    loss = Loss()
    expected, slopes = EagerStep(student, loss)(parameters_of(student), exact)
    torch.set_num_threads(threads)
    for dtype, relative in (("float64", 0.005), ("float32", 0.005)):
        step = KernelStep(student, loss, dtype)
        found, gradients = step(parameters_of(student), KernelInput.of(graphs))
        torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-3)
        error = (flat(gradients) - flat(slopes)).norm() / flat(slopes).norm()
        assert float(error) < relative
        for ours, theirs in zip(gradients, slopes):  # every array of its own
            assert float((ours - theirs).norm()) < 0.02 * float(theirs.norm()) + 1e-3 * float(
                flat(slopes).norm()
            )


def test_the_same_batch_gives_the_same_gradients(student: Student, graphs: list[Graph]) -> None:
    torch.set_num_threads(2)
    step, batch = KernelStep(student, Loss()), KernelInput.of(graphs)
    first, again = (step(parameters_of(student), batch)[1] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    torch.testing.assert_close(
        step.validate(parameters_of(student), batch), step(parameters_of(student), batch)[0]
    )
