"""What the user asks of ``distill run``."""

import math
from dataclasses import dataclass
from pathlib import Path

from distill.errors import DistillError
from distill.student.config import size_config
from distill.teacher.base import TeacherSpec
from distill.train.config import check_seed


@dataclass(frozen=True)
class RunSettings:
    """What a run folder holds; the same settings again mean: go on."""

    source: str
    size: str = "tiny"
    minutes: float = 10.0
    teacher: str = "gfn2-xtb"
    weights: str = ""
    teacher_options: tuple[tuple[str, str], ...] = ()
    start: str = "auto"
    seed: int = 0
    temperature: float = 300.0
    charge: int | None = None
    spin: int | None = None
    largest_fragment: bool = False

    def __post_init__(self) -> None:
        size_config(self.size)
        if not 0 < self.minutes < math.inf:
            raise DistillError(f"The budget is {self.minutes:g} minutes; it must be positive.")
        check_seed(self.seed)
        if not 0 < self.temperature < math.inf:
            raise DistillError(f"The temperature is {self.temperature:g} K; it must be above 0 K.")

    def spec(self) -> TeacherSpec:
        weights = Path(self.weights) if self.weights else None
        return TeacherSpec(self.teacher, weights, dict(self.teacher_options))
