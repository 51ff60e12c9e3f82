"""What the commands' arguments say, read and checked before any work is done."""

import math
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from distill.errors import DistillError
from distill.whole import check_writable

MEGABYTES_NEEDED = 20
"""A disk with less room than this is refused before anything is computed."""
MOST_THREADS = 1024


def check_new_file(out: Path, force: bool, *sources: str | Path) -> None:
    """Refuses a folder, one of the files that are read, and a file that is there already unless it
    may be replaced."""
    if out.is_dir():
        raise DistillError(f"{out} is a folder; give a file (-o).")
    if any(out.exists() and os.path.exists(s) and os.path.samefile(out, s) for s in sources):
        raise DistillError(f"{out} is what is read; give another file (-o).")
    if out.exists() and not force:
        raise DistillError(f"{out} is there already; give another file, or --force to replace it.")


def check_room(path: Path) -> None:
    """Refuses a disk that is as good as full or may not be written, before any work is done."""
    check_writable(path)
    path = path.absolute()
    while not path.is_dir():
        path = path.parent
    usage = shutil.disk_usage(path)
    # some network file systems tell nothing
    if usage.total and usage.free < MEGABYTES_NEEDED * 1_000_000:
        raise DistillError(
            f"The disk of {path} is full ({usage.free / 1e6:.0f} MB free, {MEGABYTES_NEEDED} MB "
            "needed); make room or choose another folder."
        )


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Runs torch on ``count`` threads."""
    import torch

    if count < 1:
        raise DistillError(f"--threads is {count}; give 1 or more.")
    if count > MOST_THREADS:  # OpenMP ends the process where it gets no more
        raise DistillError(f"--threads is {count}; give {MOST_THREADS} or fewer.")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def key_values(pairs: list[str]) -> dict[str, str]:
    """``["a=1", "b=2"]`` as a dictionary."""
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise DistillError(f"--teacher-option is '{pair}'; write key=value.")
        options[key] = value
    return options


def numbers(text: str, what: str) -> tuple[float, ...]:
    """``"300,500"`` as (300.0, 500.0)."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = (math.nan,)
    if not all(0 < value < math.inf for value in values):
        raise DistillError(f"{what} is '{text}'; write positive numbers, as 300,500,700.")
    return values


def check_workers(workers: int | None) -> None:
    """Refuses less than one worker."""
    if workers is not None and workers < 1:
        raise DistillError(f"--workers is {workers}; give 1 or more.")


def from_root(given: str, names: Iterable[str] = ()) -> str:
    """A file by its name from the root on, so that it is the same one from any folder; other words,
    and those of ``names``, as they are."""
    words = ("auto", "random", "none", *names)
    return os.path.abspath(given) if given not in words and os.path.isfile(given) else given
