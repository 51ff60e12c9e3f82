"""Who labels: processes on this machine, a Dask cluster, or this process itself."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from distill.errors import DistillError
from distill.stop import ctrl_c_later, follow_parent

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@contextmanager
def executor(
    scheduler: str | None, workers: int | None, tasks: int
) -> Iterator[tuple[Executor, int]]:
    """An executor and how many tasks it runs at once; an exception ends its processes at once."""
    if scheduler is not None:
        with _dask(scheduler) as found:
            yield found
        return
    count = min(workers if workers is not None else os.cpu_count() or 1, tasks)
    if count == 0:
        yield Here(), 1
        return
    with children_of_one_thread():
        pool = Pool(count)
        try:
            yield pool, count
        except BaseException:
            with ctrl_c_later():
                pool.kill()
            raise
        pool.shutdown()


@contextmanager
def children_of_one_thread() -> Iterator[None]:
    """Processes started within use one thread each: more of them would wait for each other.

    A label of imatinib by GFN2-xTB took three times the processor time where each of two processes
    had two threads on two cores.
    """
    # children read these when they load their libraries, so they must stand there before
    old = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in old.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


class Pool(ProcessPoolExecutor):
    """Processes that never hear Ctrl-C, and that can be ended while they work."""

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        super().__init__(count, context, initializer=follow_parent)

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As everywhere; this is also where the processes are started, one after the other."""
        with ctrl_c_later():
            return super().submit(fn, *args, **kwargs)

    def kill(self) -> None:
        """Ends the processes, whatever they are doing.

        A future must not be cancelled before: the thread that looks after the processes of a pool
        would die of it (in Python 3.11), and who waits for the others would wait for ever.
        """
        processes = list((self._processes or {}).values())
        self.shutdown(wait=False, cancel_futures=True)
        end(processes)


def end(processes: Iterable[Any], patience: float = 0.0) -> None:
    """Ends processes: by SIGTERM where they get ``patience`` (seconds, in all), then by SIGKILL."""
    processes = list(processes)
    if patience:
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + patience
        for process in processes:
            process.join(max(0.0, deadline - time.monotonic()))
    for process in processes:
        process.kill()
    for process in processes:
        process.join(5.0)


@contextmanager
def _dask(address: str) -> Iterator[tuple[Executor, int]]:
    try:
        from distributed import Client
    except ImportError as error:
        raise DistillError(
            "--scheduler needs Dask; `pip install 'mlff-distiller[dask]'`."
        ) from error
    try:
        client = Client(address, timeout=15)
    except (OSError, ValueError) as error:
        raise DistillError(
            f"No Dask scheduler answers at {address}; start one with `dask scheduler`."
        ) from error
    with client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise DistillError(f"The Dask cluster at {address} has no workers; start some.")
        yield client.get_executor(pure=False), threads


class Here(Executor):
    """Runs each task at once, in this process."""

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        """Run now."""
        future: Future[object] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
