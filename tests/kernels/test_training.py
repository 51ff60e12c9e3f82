"""Gradients of a batch by the kernel against the double backward in float64."""

import numpy as np
import pytest
import torch
from ase import Atoms

from distill.student import Student
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
