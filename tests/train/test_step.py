"""A training step's loss and gradients, against straightforward autograd in float64."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from distill.student import Student
from distill.train.graphs import Batch, Capacity, Graph, collate
from distill.train.kernel_step import KernelInput
from distill.train.step import CompiledStep, EagerStep, Loss, Step, make_step, parameters_of

ENERGY_WEIGHT = 10.0


@pytest.fixture
def exact(student: Student) -> Student:
    return student.double()


def batch_of(graphs: list[Graph], student: Student, capacity: Capacity, double: bool) -> Batch:
    species, reference = student.species_of.numpy(), student.reference.numpy()
    batch = collate(graphs, capacity, species, reference, student.cutoff)
    if not double:
        return batch
    return Batch(*(t.double() if t.is_floating_point() else t for t in batch.tensors()))


def straightforward(student: Student, graphs: list[Graph]) -> tuple[float, list[Tensor]]:
    """The loss of graphs taken one by one, by positions, without batches or padding."""
    parameters = parameters_of(student)
    force_errors, energy_errors = [], []
    for graph in graphs:
        x = torch.tensor(graph.positions, dtype=torch.float64, requires_grad=True)
        edges = torch.tensor(graph.edge_index, dtype=torch.int64)
        numbers = torch.tensor(graph.numbers)
        atomic = student.atomic_energies(x, numbers, edges, torch.zeros(edges.shape[1], 3))
        (slope,) = torch.autograd.grad(atomic.sum(), x, create_graph=True)
        force_errors.append((-slope - torch.tensor(graph.forces, dtype=torch.float64)).norm(dim=1))
        energy_errors.append((atomic.sum() - graph.energy).abs() / len(graph.numbers))
    loss = torch.cat(force_errors).mean() + ENERGY_WEIGHT * torch.stack(energy_errors).mean()
    return float(loss.detach()), list(torch.autograd.grad(loss, parameters))


def flat(gradients: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    return torch.cat([g.reshape(-1).double() for g in gradients])


@pytest.mark.parametrize("capacity", [Capacity(32, 160, 6), Capacity(384, 8192, 48)])
def test_a_padded_batch_equals_molecules_one_by_one(
    exact: Student, graphs: list[Graph], capacity: Capacity
) -> None:
    expected, slopes = straightforward(exact, graphs[:5])
    step = EagerStep(exact, Loss(ENERGY_WEIGHT))
    components, gradients = step(
        parameters_of(exact), batch_of(graphs[:5], exact, capacity, double=True)
    )
    assert float(components[0]) == pytest.approx(expected, rel=1e-7)
    assert (flat(gradients) - flat(slopes)).norm() < 1e-6 * flat(slopes).norm()


def test_relative_energies_are_those_within_a_molecule(exact: Student, graphs: list[Graph]) -> None:
    """Two of methanol, one of something else of the same atoms, one that is alone."""
    named = [replace(g, molecule=name) for g, name in zip(graphs, ("a", "b", "a", ""))]
    batch = batch_of(named, exact, Capacity(32, 160, 6), double=True)
    energy = batch.energy + 6.0 * torch.tensor([1.0, 5.0, 2.0, -3.0, 0.0, 7.0])  # of six atoms
    loss, force, per_atom, _ = Loss(10.0, 100.0)(batch, energy, batch.forces)
    assert float(per_atom) == pytest.approx((1 + 5 + 2 + 3) / 4)
    common, left = (1.5 + 5 + 1.5 + 3) / 4, (0.5 + 0 + 0.5 + 0) / 4
    assert float(loss - force) == pytest.approx(10 * common + 100 * left)


def test_small_force_errors_count_by_their_square(exact: Student, graphs: list[Graph]) -> None:
    batch = batch_of(graphs[:2], exact, Capacity(32, 160, 6), double=True)
    for norm, delta, expected in ((1e-3, 0.5, 1e-6), (50.0, 0.5, 49.5025), (0.3, 0.4, 0.1)):
        forces = batch.forces + norm * torch.tensor([0.6, 0.0, -0.8])
        loss, force, _, squares = Loss(force_delta=delta)(batch, batch.energy, forces)
        assert float(loss) == pytest.approx(expected, rel=1e-3)
        assert float(force) == pytest.approx(norm, rel=1e-3)
        assert float(squares) == pytest.approx(norm**2, rel=1e-3)


def test_the_kernel_s_batch_has_the_same_groups(student: Student, graphs: list[Graph]) -> None:
    named = [replace(g, molecule=name) for g, name in zip(graphs, ("a", "", "b", "a", ""))]
    assert KernelInput.of(named).group.tolist() == [0, 1, 2, 0, 4]
    padded = batch_of(named, student, Capacity(40, 200, 7), double=False)
    assert padded.group.tolist() == [0, 1, 2, 0, 4, 5, 6]


@pytest.mark.parametrize("loss", [Loss(10.0), Loss(10.0, 50.0), Loss(10.0, force_delta=0.3)])
def test_gradients_are_slopes_of_the_loss(exact: Student, graphs: list[Graph], loss: Loss) -> None:
    step = EagerStep(exact, loss)
    some = [replace(g, molecule="methanol") for g in graphs[:4]]
    batch = batch_of(some, exact, Capacity(32, 160, 6), double=True)
    parameters = [p.detach().clone() for p in parameters_of(exact)]
    _, gradients = step(parameters, batch)
    generator = torch.Generator().manual_seed(0)
    h = 1e-6
    for k, parameter in enumerate(parameters):  # one weight of each
        place = tuple(
            int(torch.randint(size, (1,), generator=generator)) for size in parameter.shape
        )
        losses = []
        for sign in (1, -1):
            moved = [p.clone() for p in parameters]
            moved[k][place] += sign * h
            losses.append(float(step(moved, batch)[0][0]))
        slope = (losses[0] - losses[1]) / (2 * h)
        assert float(gradients[k][place]) == pytest.approx(slope, rel=1e-4, abs=1e-6), k


def test_components_add_up(student: Student, graphs: list[Graph]) -> None:
    step = EagerStep(student, Loss(ENERGY_WEIGHT))
    batch = batch_of(graphs[:4], student, Capacity(32, 160, 6), double=False)
    loss, force, energy, sse = step(parameters_of(student), batch)[0].tolist()
    assert loss == pytest.approx(force + ENERGY_WEIGHT * energy, rel=1e-6)
    assert sse >= force**2 * (1 - 1e-5)  # a mean of squares is no less than the square of the mean


@pytest.mark.slow
def test_compiled_equals_eager(student: Student, graphs: list[Graph]) -> None:
    capacity = Capacity(384, 8192, 48)
    loss = Loss(ENERGY_WEIGHT)
    first = batch_of(graphs[:20], student, capacity, double=False)
    compiled, name = make_step(student, loss, "compiled", first)
    assert name == "compiled" and isinstance(compiled, CompiledStep)
    eager: Step = EagerStep(student, loss)
    exact = copy.deepcopy(student).double()
    reference: Step = EagerStep(exact, loss)
    # another batch than the one it was compiled with, and other weights
    batch = batch_of(graphs[20:], student, capacity, double=False)
    double = batch_of(graphs[20:], exact, capacity, double=True)
    single = [p.detach() * 1.05 for p in parameters_of(student)]
    exact_components, exact_gradients = reference([p.double() for p in single], double)
    for step in (eager, compiled):
        components, gradients = step(single, batch)
        torch.testing.assert_close(components.double(), exact_components, rtol=2e-5, atol=1e-6)
        error = (flat(gradients) - flat(exact_gradients)).norm() / flat(exact_gradients).norm()
        assert error < 1e-3
        for found, expected in zip(gradients, exact_gradients):
            assert found.shape == expected.shape


def test_without_a_compiler_the_step_is_eager(
    student: Student, graphs: list[Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    batch = batch_of(graphs[:2], student, Capacity(32, 160, 6), double=False)
    step, name = make_step(student, Loss(), "auto", batch)
    assert name == "eager" and isinstance(step, EagerStep)
