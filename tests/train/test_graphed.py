"""What a GPU captures as a graph, launch by launch on the CPU, against the plain way."""

import copy
import math

import pytest
import torch

from distill.student import Student
from distill.train.config import TrainConfig
from distill.train.graphed import GraphedStep
from distill.train.graphs import Batch, Graph
from distill.train.module import WILD, Distillation
from distill.train.muon import Muon
from distill.train.step import EagerStep, parameters_of


def module_of(student: Student, graphs: list[Graph]) -> Distillation:
    config = TrainConfig(steps=10, backend="eager", warm_up_steps=1, clip=0.5)
    return Distillation(copy.deepcopy(student), config, graphs, [])


@pytest.fixture
def module(student: Student, graphs: list[Graph]) -> Distillation:
    return module_of(student, graphs)


def batches_of(module: Distillation, count: int) -> list[Batch]:
    return [module.stream.window(0, count)[k] for k in range(count)]  # type: ignore[misc]


def graphed(module: Distillation, muon: Muon, example: Batch) -> GraphedStep:
    step = EagerStep(module.student, module.loss)
    return GraphedStep(step, parameters_of(module.student), muon, example, 0.5, WILD, math.nan)


def test_steps_are_the_plain_ones(student: Student, graphs: list[Graph]) -> None:
    module, plain = module_of(student, graphs), module_of(student, graphs)
    data = batches_of(module, 4)
    step = EagerStep(plain.student, plain.loss)
    theirs = plain.configure_optimizers()
    mine = module.configure_optimizers()
    assert isinstance(mine[0], Muon)
    ours = graphed(module, mine[0], data[0])
    for k, batch in enumerate(data):
        rate = 1e-3 / (1 + k)
        components, gradients = step(parameters_of(plain.student), batch)
        for p, g in zip(parameters_of(plain.student), gradients):
            p.grad = g
        norm = torch.nn.utils.clip_grad_norm_(parameters_of(plain.student), 0.5)
        assert norm > 0.5  # or nothing is clipped
        assert plain.is_sane(float(norm))
        found = ours(batch, rate, refuse=True)
        torch.testing.assert_close(found, components)
        for optimizers in (theirs, mine[1:]):
            for optimizer in optimizers:
                optimizer.param_groups[0]["lr"] = rate
                optimizer.step()
        for a, b in zip(parameters_of(module.student), parameters_of(plain.student)):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert float(ours.usual_norm) == pytest.approx(plain.usual_norm, rel=1e-4)
    assert mine[0].param_groups[0]["lr"] == module.options.learning_rate  # a number, to be saved


@pytest.mark.parametrize("field, times", [("forces", math.nan), ("inverse_size", 1e6)])
def test_what_is_nonsense_is_refused(module: Distillation, field: str, times: float) -> None:
    (batch,) = batches_of(module, 1)
    muon = module.configure_optimizers()[0]
    assert isinstance(muon, Muon)
    ours = graphed(module, muon, batch)
    ours(batch, 1e-3, refuse=True)
    usual = float(ours.usual_norm)
    broken = Batch(*(tensor.clone() for tensor in batch.tensors()))
    getattr(broken, field).mul_(times)
    assert ours(broken, 1e-3, refuse=True).tolist() == [0.0] * 4
    for parameter in parameters_of(module.student):
        assert parameter.isfinite().all()
        assert parameter.grad is not None and not parameter.grad.any()
    assert float(ours.usual_norm) <= usual * (1 + 0.01 * WILD) + 1e-6
