"""One run at a time in a folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distill.errors import DistillError


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Holds ``folder``, making it where it is not there, until the end of the block or the process.

    It is the folder itself that is locked, so nothing lies about afterwards; one that was made here
    and is still empty goes again. Raises DistillError when another process holds it, and goes on
    without a lock on the file systems that have none.
    """
    if folder.exists() and not folder.is_dir():
        yield  # whoever wants the folder says what is wrong
        return
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DistillError(
                f"Another run is at work in {folder}; wait for it, or give another folder (-o)."
            ) from error
        except OSError:
            pass
        yield
    finally:
        for path in made:
            try:
                path.rmdir()
            except OSError:  # no longer empty
                break
        os.close(descriptor)
