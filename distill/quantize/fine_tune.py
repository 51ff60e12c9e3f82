"""Quantization-aware fine-tuning: a student learns to live with INT8 weights.

The forward pass sees the rounded weights, the gradient goes to the exact ones as if nothing had
been rounded (straight-through, Bengio et al., arXiv 1308.3432; Jacob et al., CVPR 2018, arXiv
1712.05877). Taught by the float32 student itself, so any geometries will do; no teacher is asked.
"""

import copy
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from distill.evaluate.frames import LabelledFrame
from distill.evaluate.predict import predict
from distill.quantize.weights import best_scales, levels
from distill.student.student import Student
from distill.train.graphs import Capacity, Graph
from distill.train.module import BatchStream
from distill.train.step import Loss, make_step, parameters_of, use_kernel

ENERGY_WEIGHT = 10.0
LEARNING_RATE = 2e-4


def fine_tune(
    student: Student,
    frames: Sequence[LabelledFrame],
    steps: int,
    seed: int = 0,
    learning_rate: float = LEARNING_RATE,
    told: Callable[[], None] = lambda: None,
) -> tuple[Student, dict[str, Tensor]]:
    """A copy whose matrices are whole multiples of their rows' scales, and those scales by name.

    ``told`` is called after each step. ``frames``: geometries; their labels are not looked at.
    """
    graphs = own_labels(student, frames)
    tuned = copy.deepcopy(student).float().requires_grad_(True)
    named = dict(tuned.painn.named_parameters())
    scales = {name: best_scales(p.detach()) for name, p in named.items() if p.dim() == 2}

    def rounded(name: str, p: Tensor) -> Tensor:
        if name not in scales:
            return p.detach()
        return levels(p.detach(), scales[name]) * scales[name][:, None]

    stream = BatchStream(tuned, graphs, Capacity.for_graphs(graphs), seed, use_kernel("auto"))
    batches = stream.window(0, steps)
    example = stream.make([graphs[0]])
    kernel = "kernel" if stream.kernel else "eager"
    step, _ = make_step(tuned, Loss(ENERGY_WEIGHT, 0.0, 0.0), kernel, example)
    parameters = parameters_of(tuned)
    optimizer = torch.optim.Adam(parameters, lr=learning_rate)
    for k in range(steps):
        _, gradients = step([rounded(*item) for item in named.items()], batches[k])
        for p, gradient in zip(parameters, gradients):
            p.grad = gradient
        torch.nn.utils.clip_grad_norm_(parameters, 10.0)
        optimizer.param_groups[0]["lr"] = learning_rate * falling(k, steps)
        optimizer.step()
        told()
    with torch.no_grad():
        for name, p in named.items():
            p.copy_(rounded(name, p))
    tuned.eval().requires_grad_(False)
    return tuned, {f"painn.{name}": scale for name, scale in scales.items()}


def falling(k: int, steps: int) -> float:
    """Of the learning rate: a cosine from 1 to 0."""
    return 0.5 * (1.0 + math.cos(math.pi * k / steps))


def own_labels(student: Student, frames: Sequence[LabelledFrame]) -> list[Graph]:
    """The geometries with the student's own energies and forces."""
    found = predict(student, frames, progress=False)
    forces = np.split(found.forces_pred, np.cumsum(found.n_atoms)[:-1])
    return [
        Graph.build(
            frame.numbers, frame.positions, energy, force, student.cutoff,
            frame.cell if frame.pbc.any() else None,
        )
        for frame, energy, force in zip(frames, found.energy_pred, forces)
    ]  # fmt: skip
