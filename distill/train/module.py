"""The Lightning module: optimizers, schedule, weight averaging."""

import math
import os
import time
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch

from distill.student.student import Student
from distill.train.config import TrainConfig
from distill.train.graphed import GraphedStep
from distill.train.graphs import Batch, Capacity, Graph, batches, collate
from distill.train.kernel_step import KernelInput, KernelStep
from distill.train.muon import Muon
from distill.train.step import (
    COMPONENTS,
    EagerStep,
    Loss,
    Step,
    make_step,
    parameters_of,
    use_kernel,
)

AnyBatch = Batch | KernelInput

WILD = 30.0
"""Times the usual norm: a gradient beyond that comes from a geometry or a label that is nonsense,
and even clipped it would leave Muon's momentum pointing nowhere for twenty steps."""
LOADERS = 8
"""Processes that make batches for a GPU, which takes one every few milliseconds."""


class BatchStream(torch.utils.data.Dataset[AnyBatch]):
    """Batches ``start`` to ``start + length`` of the endless sequence that the seed defines.

    kernel: whether they are made for the kernel, or padded for torch. pairs: see ``batches``.
    """

    def __init__(
        self,
        student: Student,
        graphs: Sequence[Graph],
        capacity: Capacity,
        seed: int,
        kernel: bool = False,
        pairs: bool = False,
    ) -> None:
        self.kernel = kernel
        self.graphs = graphs
        self.capacity = capacity
        self.species_of = student.species_of.cpu().numpy()
        self.reference = student.reference.cpu().numpy()
        self.cutoff = student.config.cutoff
        self.stream = batches(graphs, capacity, seed, pairs)
        self.position = 0
        self.start = 0
        self.length = 0

    def window(self, start: int, length: int) -> "BatchStream":
        self.start, self.length = start, length
        self.skip_to(start)
        return self

    def skip_to(self, batch: int) -> None:
        """A resumed run skips what it has seen, and a loading process what others load."""
        while self.position < batch:
            next(self.stream)
            self.position += 1

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> AnyBatch:
        self.skip_to(self.start + index)
        self.position += 1
        return self.make([self.graphs[k] for k in next(self.stream)])

    def make(self, graphs: Sequence[Graph]) -> AnyBatch:
        if self.kernel:
            return KernelInput.of(graphs)
        return collate(graphs, self.capacity, self.species_of, self.reference, self.cutoff)


class Distillation(L.LightningModule):
    """Fits a student to labels. Its gradients come from a :class:`distill.train.step.Step`."""

    def __init__(
        self, student: Student, config: TrainConfig, train: Sequence[Graph], valid: Sequence[Graph]
    ):
        super().__init__()
        self.automatic_optimization = False
        self.student = student
        self.options = config
        self.capacity = Capacity.for_graphs([*train, *valid], config.batch)
        self.valid_batches: list[AnyBatch] = []
        kernel = use_kernel(config.backend, config.accelerator)
        pairs = config.relative_energy_weight > 0
        self.loss = Loss(config.energy_weight, config.relative_energy_weight, config.force_delta)
        self.stream = BatchStream(student, train, self.capacity, config.seed, kernel, pairs)
        self.set_valid(valid)
        self.average = [p.detach().clone() for p in parameters_of(student)]
        self.steps_done = 0
        self.seconds_done = 0.0
        self.usual_norm = math.nan  # of gradients, a running mean
        self.backend = ""
        self._step: Step | None = None
        self._graphed: GraphedStep | None = None
        self._clock = 0.0
        self._sums = torch.zeros(len(COMPONENTS))
        self._counted = 0

    def set_valid(self, graphs: Sequence[Graph]) -> None:
        """The geometries to validate on from now on: the latest, as many as it is set."""
        rest = list(graphs[-self.options.max_valid :])
        self.valid_batches = []
        while rest:
            batch = [rest.pop(0)]
            while rest and self.capacity.fits([*batch, rest[0]]):
                batch.append(rest.pop(0))
            self.valid_batches.append(self.stream.make(batch))

    # -- data -------------------------------------------------------------------------------------
    def train_dataloader(self) -> Any:
        world, rank = self.trainer.world_size, self.trainer.global_rank
        length = self.options.steps_per_epoch
        if self.options.steps is not None:
            length = min(length, self.options.steps - self.steps_done)
        window = self.stream.window(self.steps_done * world, length * world)
        ranks_share = range(rank, length * world, world)
        gpu = self.device.type == "cuda"
        return torch.utils.data.DataLoader(
            window,
            batch_size=None,
            sampler=ranks_share,
            num_workers=min(LOADERS, os.cpu_count() or 1) if gpu else 0,
            pin_memory=gpu,
        )

    def transfer_batch_to_device(
        self, batch: AnyBatch, device: torch.device, dataloader_idx: int
    ) -> AnyBatch:
        return batch.to(device)

    # -- optimization -----------------------------------------------------------------------------
    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Muon for the matrices, AdamW for the embedding and the biases (or for all)."""
        named = dict(self.student.painn.named_parameters())
        rate, muon = self.options.learning_rate, self.options.optimizer == "muon"
        decay = self.options.weight_decay
        matrices = [
            p for n, p in named.items() if muon and p.ndim == 2 and not n.startswith("embedding")
        ]
        ids = {id(p) for p in matrices}
        others = [p for p in named.values() if id(p) not in ids]
        found: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(others, lr=rate, weight_decay=decay, fused=True)
        ]
        if matrices:
            found.insert(0, Muon(matrices, lr=rate, weight_decay=decay))
        return found

    def progress(self) -> float:
        """From 0 to 1."""
        return self.options.progress(self.steps_done, self.seconds_done)

    def learning_rate(self) -> float:
        """Linear warm-up, then constant, then a cosine that ends at zero with the budget."""
        warm_up = min(1.0, (self.steps_done + 1) / self.options.warm_up_steps)
        cosine = 0.5 * (1.0 + math.cos(math.pi * self.options.falling(self.progress())))
        return self.options.learning_rate * warm_up * cosine

    def on_train_start(self) -> None:
        self._clock = time.monotonic()  # compiling spends the budget too
        backend = "kernel" if self.stream.kernel else self.options.backend
        if backend == "auto" and (self.options.minutes or self.options.steps or 0) < 2:
            backend = "eager"  # compiling would outlast the training
        example = self.stream.make([self.stream.graphs[0]]).to(self.device)
        self._step, self.backend = make_step(self.student, self.loss, backend, example)
        self.average = [p.to(self.device) for p in self.average]
        if self.backend == "kernel":
            torch.set_num_threads(1)  # see KernelStep; the optimizer's matrices are small
        self._sums = self._sums.to(self.device)
        if self.device.type == "cuda" and self.trainer.world_size == 1:
            assert isinstance(example, Batch)
            first = self.trainer.optimizers[0]
            muon = first if isinstance(first, Muon) else None
            self._graphed = GraphedStep(
                self._step, parameters_of(self.student), muon, example,
                self.options.clip, WILD, self.usual_norm,
            )  # fmt: skip

    def training_step(self, batch: AnyBatch, batch_idx: int) -> None:
        if self._graphed is None:
            self.step_by_step(batch)
        else:
            self.graphed_step(batch)
        self.steps_done += 1
        now = time.monotonic()
        self.seconds_done += now - self._clock
        self._clock = now
        if self.trainer.world_size > 1:  # every rank stops at the same step
            self.seconds_done = float(
                self.trainer.strategy.broadcast(torch.tensor(self.seconds_done))
            )
        if self.progress() >= 1.0:
            self.trainer.should_stop = True

    def graphed_step(self, batch: AnyBatch) -> None:
        """The same on a GPU, without a word from the device: a graph, and AdamW."""
        assert self._graphed is not None and isinstance(batch, Batch)
        rate = self.learning_rate()
        refuse = self.steps_done >= self.options.warm_up_steps
        components = self._graphed(batch, rate, refuse)
        optimizers = self.optimizers()
        others = optimizers[-1] if isinstance(optimizers, list) else optimizers
        for group in others.param_groups:
            group["lr"] = rate
        others.step()
        self.take_average()
        self._sums += components
        self._counted += 1

    def step_by_step(self, batch: AnyBatch) -> None:
        """Gradients, and where they are sane the optimizers' steps."""
        assert self._step is not None
        parameters = parameters_of(self.student)
        components, gradients = self._step(parameters, batch)
        if self.trainer.world_size > 1:
            flat = torch.cat([g.reshape(-1) for g in gradients])
            flat = self.trainer.strategy.reduce(flat, reduce_op="mean")  # type: ignore[assignment]
            sizes = [p.numel() for p in parameters]
            gradients = tuple(part.view_as(p) for part, p in zip(flat.split(sizes), parameters))
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.options.clip))
        if self.is_sane(norm):  # a broken label must not break the student
            rate = self.learning_rate()
            optimizers = self.optimizers()
            for optimizer in optimizers if isinstance(optimizers, list) else [optimizers]:
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.step()
            self.take_average()
            self._sums += components.detach()
            self._counted += 1

    def take_average(self) -> None:
        """The running mean of the weights takes in those of this step."""
        decay = min(self.options.averaging, (1 + self.steps_done) / (10 + self.steps_done))
        parameters = [p.detach() for p in parameters_of(self.student)]
        torch._foreach_lerp_(self.average, parameters, 1.0 - decay)

    def is_sane(self, norm: float) -> bool:
        """Whether a gradient of this norm is to be followed."""
        if not math.isfinite(norm):
            return False
        if math.isnan(self.usual_norm):
            self.usual_norm = norm
        limit = WILD * self.usual_norm
        # the mean follows what is refused, too: were all gradients to grow, they would be taken
        self.usual_norm += 0.01 * (min(norm, limit) - self.usual_norm)
        return norm <= limit or self.steps_done < self.options.warm_up_steps

    def on_train_epoch_end(self) -> None:
        if self._graphed is not None:
            self.usual_norm = float(self._graphed.usual_norm)
        means = (self._sums / max(1, self._counted)).tolist()
        record = {f"train_{name}": mean for name, mean in zip(COMPONENTS, means)}
        self._sums.zero_()
        self._counted = 0
        if self.valid_batches:
            record |= self.validate()
        record |= {
            "step": float(self.steps_done),
            "labels": float(len(self.stream.graphs)),
            "minutes": self.seconds_done / 60.0,
            "learning_rate": self.learning_rate(),
        }
        for key in ("train_force_sse", "valid_force_sse"):
            if key in record:
                # mean squared norm per atom -> RMSE over components
                record[key.replace("sse", "rmse")] = math.sqrt(record.pop(key) / 3.0)
        self.log_dict(record, sync_dist=False)

    def validate(self) -> dict[str, float]:
        """The averaged weights' loss on the validation batches."""
        total, weight = torch.zeros(len(COMPONENTS)), 0.0
        step: Any = self._step
        if step is None:
            step = (KernelStep if self.stream.kernel else EagerStep)(self.student, self.loss)
        for batch in self.valid_batches:
            if isinstance(step, KernelStep):
                assert isinstance(batch, KernelInput)
                components = step.validate(self.average, batch)
            else:
                components, _ = step(self.average, batch.to(self.device))
            atoms = float(batch.atom_weight.sum())
            total += components.cpu() * atoms
            weight += atoms
        return {f"valid_{n}": v for n, v in zip(COMPONENTS, (total / weight).tolist())}

    # -- checkpoints and result -------------------------------------------------------------------
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["distill"] = {
            "average": [p.detach().cpu() for p in self.average],
            "steps_done": self.steps_done,
            "seconds_done": self.seconds_done,
            "usual_norm": self.usual_norm,
            "falling": self.options.falling(self.progress()),
            "settings": self.options.fingerprint(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["distill"]
        self.average = [p.clone() for p in state["average"]]
        self.steps_done = int(state["steps_done"])
        self.seconds_done = float(state["seconds_done"])
        self.usual_norm = float(state.get("usual_norm", math.nan))

    def result(self) -> Student:
        """The student with the averaged weights."""
        with torch.no_grad():
            for parameter, average in zip(parameters_of(self.student), self.average):
                parameter.copy_(average)
                parameter.grad = None
        return self.student.cpu().eval().requires_grad_(False)
