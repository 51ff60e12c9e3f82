"""Settings of a training run."""

from dataclasses import asdict, dataclass
from typing import Any

from distill.errors import DistillError

BACKENDS = ("auto", "kernel", "compiled", "eager")
LEARNING_RATES = {"original": 1.5e-3, "tiny": 2e-3, "ultra-tiny": 3e-3}


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
        if (self.minutes or self.steps or 0) <= 0:
            raise DistillError("The training budget (minutes or steps) must be positive.")
        if not 0 < self.decay <= 1:
            raise DistillError("decay, a part of the budget, must be above 0 and at most 1.")
        if self.batch < 1:
            raise DistillError("batch, in units of 384 atoms, must be 1 or more.")
        if self.optimizer not in ("muon", "adamw"):
            raise DistillError("optimizer must be muon or adamw.")
        if self.backend not in BACKENDS:
            raise DistillError(f"backend must be one of {', '.join(BACKENDS)}.")

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
