"""The MD that a run ends with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from distill.errors import DistillError

Engine = Callable[..., dict[str, Any]]


def md_engine() -> Engine:
    """The MD engine that a plugin has registered; found first, so that nothing is lost later."""
    for entry in entry_points(group="distill.engines", name="openmm"):
        try:
            found: Engine = entry.load()
        except ImportError as error:
            raise DistillError(
                f"`distill run` ends with MD in OpenMM, which cannot be imported ({error}); "
                "`pip install 'mlff-distiller[openmm]'`."
            ) from error
        return found
    raise DistillError(
        "The OpenMM plugin is not installed; `pip install 'mlff-distiller[openmm]'`."
    )


@contextmanager
def bar(title: str, console: Console) -> Iterator[Callable[[float], None]]:
    """A progress bar from 0 to 1."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=1.0)
        yield lambda share: progress.update(task, completed=share)
