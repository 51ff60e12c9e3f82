"""The progress bar of an MD."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Advance(Protocol):
    """Moves a bar to a share of all, from 0 to 1; what stands before and behind it may change."""

    def __call__(self, share: float, title: str | None = None, behind: str = "") -> None: ...


@contextmanager
def bar(title: str, console: Console) -> Iterator[Advance]:
    """A progress bar, for the block."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[behind]}"),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=1.0, behind="")

        def advance(share: float, title: str | None = None, behind: str = "") -> None:
            progress.update(task, completed=share, description=title, behind=behind)

        yield advance
