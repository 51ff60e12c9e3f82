"""Many runs side by side, each in a process of one thread."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from distill.data.workers import children_of_one_thread
from distill.stop import follow_parent


def in_processes(
    function: Callable[..., Any], tasks: Mapping[str, tuple[Any, ...]], workers: int | None
) -> Iterator[tuple[str, Any]]:
    """Each task's name and function(*arguments), as they are done; workers: None for one a core."""
    context = multiprocessing.get_context("spawn")
    with (
        children_of_one_thread(),
        ProcessPoolExecutor(workers, context, initializer=_end_with_parent) as pool,
    ):
        running = {pool.submit(function, *task): name for name, task in tasks.items()}
        for done in as_completed(running):
            if done.exception():  # the others need not be waited for
                pool.shutdown(cancel_futures=True)
            yield running[done], done.result()


def _end_with_parent() -> None:
    follow_parent()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a run takes minutes: Ctrl-C ends it, too
