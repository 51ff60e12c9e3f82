"""A training step on a GPU as one CUDA graph: a launch instead of two thousand."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from distill.train.graphs import Batch
from distill.train.muon import Muon
from distill.train.step import Step


class GraphedStep:
    """Gradients, their clipping, the refusal of wild ones, and Muon's step.

    Nothing waits for the device. A refused gradient counts as zero: what is left of that step is
    Muon's momentum. wild: times ``usual_norm``, a running mean, that a gradient's norm may have.
    """

    def __init__(
        self,
        step: Step,
        parameters: Sequence[nn.Parameter],
        muon: Muon | None,
        example: Batch,
        clip: float,
        wild: float,
        usual_norm: float,
    ):
        self.step, self.parameters, self.muon = step, parameters, muon
        self.clip, self.wild = clip, wild
        self.batch = Batch(*(tensor.clone() for tensor in example.tensors()))
        self.rate, self.limit, self.usual_norm = (
            torch.tensor(x, device=example.vectors.device) for x in (0.0, wild, usual_norm)
        )
        self.components = torch.zeros(0)
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, batch: Batch, rate: float, refuse: bool) -> Tensor:
        """One step at a learning rate; the loss's components, which the next call overwrites."""
        for mine, tensor in zip(self.batch.tensors(), batch.tensors()):
            mine.copy_(tensor)
        self.rate.fill_(rate)
        self.limit.fill_(self.wild if refuse else torch.inf)
        if self.batch.vectors.is_cuda and self._graph is None:
            self._graph = self._capture()
        if self._graph is None:
            self.run()
        else:
            self._graph.replay()
        return self.components

    def run(self) -> None:
        """The step itself, launch by launch."""
        components, gradients = self.step(self.parameters, self.batch)
        norm = torch.stack(torch._foreach_norm(gradients)).norm()
        limit = self.limit * self.usual_norm
        sane = norm.isfinite() & ~(norm > limit)  # the usual norm is NaN at first
        part = (self.clip / (norm + 1e-6)).clamp(max=1.0)
        for parameter, gradient in zip(self.parameters, gradients):
            parameter.grad = torch.where(sane, gradient * part, 0.0)
        mean = self.usual_norm + 0.01 * (torch.minimum(norm, limit) - self.usual_norm)
        mean = torch.where(self.usual_norm.isnan(), norm, mean)
        self.usual_norm.copy_(torch.where(norm.isfinite(), mean, self.usual_norm))
        self.components = torch.where(sane, components, 0.0)
        if self.muon is not None:
            rates = [group["lr"] for group in self.muon.param_groups]
            for group in self.muon.param_groups:
                group["lr"] = self.rate
            self.muon.step()
            for group, rate in zip(self.muon.param_groups, rates):  # what a checkpoint holds
                group["lr"] = rate

    def _capture(self) -> torch.cuda.CUDAGraph:
        """Runs it at no learning rate first, as a capture asks for, and takes that back."""
        rate, usual = self.rate.clone(), self.usual_norm.clone()
        momenta = [tensor.clone() for tensor in self._momenta()]
        self.rate.zero_()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # batches are pinned by another thread meanwhile
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self.run()
        for k, tensor in enumerate(self._momenta()):
            tensor.copy_(momenta[k]) if momenta else tensor.zero_()
        self.rate.copy_(rate)
        self.usual_norm.copy_(usual)
        return graph

    def _momenta(self) -> list[Tensor]:
        states = self.muon.state.values() if self.muon is not None else ()
        return [state["momentum_buffer"] for state in states]
