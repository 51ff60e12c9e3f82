"""Settings of a training run."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from distill.errors import DistillError

BACKENDS = ("auto", "kernel", "compiled", "eager")
ACCELERATORS = ("cpu", "gpu", "cuda", "auto")
MOST_BATCHES = 1000
"""Times 384 atoms: a batch beyond that fits into no memory."""
LEARNING_RATES = {"original": 1.5e-3, "tiny": 2e-3, "ultra-tiny": 3e-3}


def check_seed(seed: int) -> None:
    """Refuses a seed that numpy, torch and Lightning do not all take."""
    if not 0 <= seed < 2**32:
        raise DistillError(f"The seed is {seed}; give one from 0 to {2**32 - 1}.")


@dataclass(frozen=True)
class TrainConfig:
    """minutes or steps: the budget at which the learning rate reaches zero (one of the two).

    With steps, the same seed gives the same run; minutes depend on the machine's mood. decay: the
    last part of the budget, in which the learning rate falls; before, it is constant, and a run
    resumed with a larger budget goes on from there as if that had been its budget from the start
    (Hu et al., arXiv 2404.06395 (2024)). force_delta and relative_energy_weight: see
    `distill.train.step.Loss`; with the latter, geometries of the same molecule come in pairs.
    weight_decay: without it a student of one molecule has holes where atoms overlap: minima
    thousands of eV deep that a minimizer can fall into. batch: how many times 384 atoms a batch
    holds; a GPU wants 4 or more.
    """

    minutes: float | None = None
    steps: int | None = None
    seed: int = 0
    learning_rate: float = 2e-3
    energy_weight: float = 10.0
    relative_energy_weight: float = 0.0
    force_delta: float = 0.0
    averaging: float = 0.998
    clip: float = 10.0
    weight_decay: float = 0.03
    warm_up_steps: int = 200
    decay: float = 1.0
    steps_per_epoch: int = 250
    max_valid: int = 200
    batch: int = 1
    optimizer: str = "muon"
    backend: str = "auto"
    accelerator: str = "cpu"
    devices: int = 1

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise DistillError("Give a training budget: either minutes or steps.")
        budget = self.steps if self.minutes is None else self.minutes
        if not 0 < (budget or 0) < math.inf:
            raise DistillError(
                f"The training budget (minutes or steps) is {budget}; it must be positive, and "
                "finite."
            )
        if not 0 < self.decay <= 1:
            raise DistillError("decay, a part of the budget, must be above 0 and at most 1.")
        if not 0 < self.learning_rate <= 1:
            raise DistillError(
                f"The learning rate is {self.learning_rate:g}; it must be above 0 and at most 1, "
                "like 0.002."
            )
        check_seed(self.seed)
        if not 1 <= self.batch <= MOST_BATCHES:
            raise DistillError(
                f"batch, in units of 384 atoms, is {self.batch}; give 1 to {MOST_BATCHES}."
            )
        if self.devices < 1:
            raise DistillError(f"--devices is {self.devices}; give 1 or more.")
        for name in ("energy_weight", "relative_energy_weight", "force_delta", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise DistillError(f"{name} is {getattr(self, name):g}; it must be 0 or more.")
        for name in ("steps_per_epoch", "max_valid", "warm_up_steps"):
            if getattr(self, name) < 1:
                raise DistillError(f"{name} is {getattr(self, name)}; it must be 1 or more.")
        if not (0 < self.clip and 0 <= self.averaging < 1):
            raise DistillError("clip must be above 0, and averaging from 0 to below 1.")
        if self.optimizer not in ("muon", "adamw"):
            raise DistillError("optimizer must be muon or adamw.")
        if self.backend not in BACKENDS:
            raise DistillError(
                f"The backend is '{self.backend}'; it must be one of {', '.join(BACKENDS)}."
            )
        if self.accelerator not in ACCELERATORS:
            raise DistillError(
                f"The accelerator is '{self.accelerator}'; it must be one of "
                f"{', '.join(ACCELERATORS)}."
            )

    def progress(self, steps: int, seconds: float) -> float:
        """From 0 to 1, by steps or by the time budget."""
        if self.steps is not None:
            return steps / self.steps
        assert self.minutes is not None
        return seconds / (60.0 * self.minutes)

    def falling(self, progress: float) -> float:
        """How much of its fall the learning rate has behind it: 0 at first, 1 at the end."""
        return min(1.0, max(0.0, 1.0 - (1.0 - progress) / self.decay))

    def fingerprint(self) -> dict[str, Any]:
        """What must not change when a run is resumed."""
        free = ("minutes", "steps", "decay", "backend", "accelerator")
        return {k: v for k, v in asdict(self).items() if k not in free}
