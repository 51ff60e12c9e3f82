"""Many runs side by side, each in a process of one thread."""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from distill.data.label import children_of_one_thread


def in_processes(
    function: Callable[..., Any], tasks: Mapping[str, tuple[Any, ...]], workers: int | None
) -> Iterator[tuple[str, Any]]:
    """Each task's name and function(*arguments), as they are done; workers: None for one a core."""
    context = multiprocessing.get_context("spawn")
    with children_of_one_thread(), ProcessPoolExecutor(workers, context) as pool:
        running = {pool.submit(function, *task): name for name, task in tasks.items()}
        for done in as_completed(running):
            if done.exception():  # the others need not be waited for
                pool.shutdown(cancel_futures=True)
            yield running[done], done.result()
