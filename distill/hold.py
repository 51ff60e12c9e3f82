"""One program at a time in a folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distill.errors import DistillError


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keeps other processes that hold it, too, out of a folder; the kernel lets go at a kill.

    Raises DistillError when another one is in it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DistillError(
                f"Another process is writing to {folder}; wait for it, or give another folder (-o)."
            ) from error
        except OSError:
            pass  # some network file systems have no locks
        yield
    finally:
        os.close(descriptor)
