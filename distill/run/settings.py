"""What the user asks of ``distill run``."""

import math
from dataclasses import dataclass
from pathlib import Path

from distill.errors import DistillError
from distill.student.config import size_config
from distill.teacher.base import TeacherSpec
from distill.train.config import check_seed

MINUTES = 10.0


@dataclass(frozen=True)
class RunSettings:
    """What a run folder holds; the same settings again mean: go on.

    labels: to learn from, at most. minutes: for everything together; None, with ``labels`` alone:
    labelling takes as long as it takes, and the rest MINUTES. assistant: "auto", "none" or a
    student that learns the labels first; see :mod:`distill.train.assistant`. md_ps: of the MD
    at the end; None gives it what is left of the budget.
    """

    source: str
    size: str = "tiny"
    minutes: float | None = MINUTES
    teacher: str = "gfn2-xtb"
    weights: str = ""
    teacher_options: tuple[tuple[str, str], ...] = ()
    start: str = "auto"
    seed: int = 0
    temperature: float = 300.0
    charge: int | None = None
    spin: int | None = None
    largest_fragment: bool = False
    labels: int | None = None
    assistant: str = "auto"
    md_ps: float | None = None

    def __post_init__(self) -> None:
        size_config(self.size)
        if self.labels is not None and self.labels < 1:
            raise DistillError(f"--labels is {self.labels}; give 1 or more.")
        if self.minutes is None and self.labels is None:
            raise DistillError("Give a budget in minutes, or a number of labels.")
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise DistillError(f"The budget is {self.minutes:g} minutes; it must be positive.")
        check_seed(self.seed)
        if self.md_ps is not None and not 0.1 <= self.md_ps < math.inf:
            raise DistillError(f"--md-ps is {self.md_ps:g} ps; give 0.1 or more.")
        if not 0 < self.temperature < math.inf:
            raise DistillError(f"The temperature is {self.temperature:g} K; it must be above 0 K.")

    @property
    def budget(self) -> float:
        """Seconds for everything; where labelling may take as long as it takes, for the rest."""
        return 60.0 * (MINUTES if self.minutes is None else self.minutes)

    @property
    def limits(self) -> str:
        """The budget in words."""
        if self.minutes is None:
            return f"{self.labels} labels, and {MINUTES:g} min for the rest"
        most = "" if self.labels is None else f", {self.labels} labels at most"
        return f"budget {self.minutes:g} min{most}"

    def spec(self) -> TeacherSpec:
        weights = Path(self.weights) if self.weights else None
        return TeacherSpec(self.teacher, weights, dict(self.teacher_options))
