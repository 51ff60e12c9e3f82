"""The user's cache: what took minutes to make and can be made again."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Say = Callable[[str], None]


def cache_folder() -> Path:
    """Where it is: DISTILL_CACHE, else below XDG_CACHE_HOME or ~/.cache."""
    own = os.environ.get("DISTILL_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mlff-distiller"


@contextmanager
def locked(file: Path, say: Say, busy: str) -> Iterator[None]:
    """One process at a time, the others wait; ``busy`` is what they say then.

    A process that ends, however it does, lets go of ``file``. A file system that has no locks
    gives none.
    """
    with open(file, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(busy)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            pass
        yield
