"""How far labelling has come."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class Meter:
    """A progress bar, or, where nobody sees one, a line in the log now and then."""

    def __init__(self, total: int, shown: bool) -> None:
        self._console = Console(stderr=True)
        self._total, self._count, self._printed = total, 0, 0.0
        self._started = time.monotonic()
        self._shown = shown
        self._bar: Progress | None = None
        if shown and self._console.is_terminal:
            self._bar = Progress(
                TextColumn("labelling"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("frames, {task.fields[failed]} failed,"),
                TimeElapsedColumn(),
                TextColumn("gone,"),
                TimeRemainingColumn(),
                TextColumn("left"),
                console=self._console,
            )

    def __enter__(self) -> Meter:
        if self._bar is not None:
            self._bar.start()
            self._line = self._bar.add_task("labelling", total=self._total, failed=0)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, sentence: str) -> None:
        """Tell the user something, if anything is shown at all."""
        if self._shown and sentence:
            self._console.print(Text(sentence, style="yellow"), soft_wrap=True)

    def advance(self, frames: int, failed: int) -> None:
        """``frames`` more are done, ``failed`` in all have failed."""
        self._count += frames
        if self._bar is not None:
            self._bar.update(self._line, completed=self._count, failed=failed)
            return
        gone = time.monotonic() - self._started
        if self._shown and (gone - self._printed > 30 or self._count == self._total):
            self._printed = gone
            left = gone / self._count * (self._total - self._count)
            self._console.print(
                f"labelled {self._count} of {self._total} frames, {failed} failed, "
                f"{gone:.0f} s gone, {left:.0f} s left",
                highlight=False,
            )
