"""What all parts of a run work with."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console

from distill.run.folder import Clock, RunFolder
from distill.run.molecules import Series
from distill.run.settings import RunSettings


@dataclass(frozen=True)
class Job:
    """A run under way. say: prints a line and adds it to run.log. workers: processes, or None for
    one a core."""

    settings: RunSettings
    series: Series
    folder: RunFolder
    clock: Clock
    say: Callable[[str], None]
    console: Console
    workers: int | None = None

    def explorers(self) -> int:
        """How many explore: one core trains, the others explore."""
        cores = os.cpu_count() or 1
        return max(1, min(self.workers or cores, cores) - 1)
