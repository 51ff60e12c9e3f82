"""Files that appear whole or not at all, and what a disk says when it refuses."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distill.errors import DistillError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Of a disk: full, over the quota, a file larger than allowed."""
CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
"""Not to be written to, or not by this user."""
REFUSALS = (*FULL, *CLOSED, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV)
"""Those, or broken, or a network's disk that went away."""
IN_WORDS = ("No space left on device", "Disk quota exceeded", "File too large")
"""safetensors, h5py and others tell of a full disk in words only."""
FIX = "make room or choose another folder, then run the same command again"


@contextmanager
def whole_file(path: str | Path, fix: str = FIX) -> Iterator[Path]:
    """A place to write to, of the same name; it becomes ``path`` when nothing is raised.

    The place is beside ``path``, on the same disk, and what was written is on that disk before it
    takes the name: a full disk, a kill or a power cut leave the file that was there before. Raises
    DistillError, which names ``path`` and the ``fix``, when the disk refuses.
    """
    path = Path(path)
    with disk_errors(path, fix):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as folder:
            place = Path(folder) / path.name
            yield place
            os.chmod(place, 0o644)
            replace_safely(place, path)


def write_json(path: Path, value: Any) -> None:
    """A JSON file, whole or not at all."""
    with whole_file(path) as place:
        place.write_text(json.dumps(value, indent=2) + "\n")


def replace_safely(temporary: Path, path: Path) -> None:
    """Put a finished file in the place of ``path``, so that a power cut leaves one or the other."""
    for what in (temporary, None, path.parent):
        if what is None:
            os.replace(temporary, path)
            continue
        descriptor = os.open(what, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if what == temporary or error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise  # some file systems cannot sync a folder
        finally:
            os.close(descriptor)


@contextmanager
def disk_errors(path: Path, fix: str = FIX) -> Iterator[None]:
    """Turns the refusal of the disk of ``path`` into a DistillError that names it and the fix."""
    try:
        yield
    except Exception as error:
        reason = disk_reason(error, path)
        if reason is None:
            raise
        raise DistillError(f"Cannot write {path}: {reason}; {fix}.") from error


def disk_reason(error: Exception, path: Path) -> str | None:
    """Why the disk of ``path`` refused; None for an error of another kind, or of another disk."""
    if isinstance(error, DistillError):
        return None
    reason = _in_words(error)
    if isinstance(error, OSError) and error.errno in REFUSALS:
        reason = os.strerror(error.errno)
        if error.filename and not Path(os.fsdecode(error.filename)).is_relative_to(path.parent):
            return None
    return reason


def disk_problem(error: BaseException) -> str | None:
    """A sentence for a full or closed disk, wherever it is; None for any other error."""
    where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
    number = error.errno if isinstance(error, OSError) else None
    if number in FULL or _in_words(error):
        return f"The disk is full{where}; make room, then run the same command again."
    if number == errno.ENAMETOOLONG:
        return f"A name is too long for a file{where[:60]}; choose a shorter one."
    if number in CLOSED:
        return f"Writing or reading is not allowed{where}; choose another folder or file."
    return None


def _in_words(error: BaseException) -> str | None:
    return next((words for words in IN_WORDS if words in str(error)), None)


def sweep(path: Path) -> None:
    """Clears away what a killed :func:`whole_file` left beside ``path``, which nobody else may be
    writing."""
    if not path.parent.is_dir():
        return
    for leftover in list(path.parent.iterdir()):  # not glob: a SMILES is full of its brackets
        stem, _, _ = leftover.name.rpartition(".")
        if stem != f".{path.stem}" or not leftover.is_dir():
            continue
        if [file.name for file in leftover.iterdir()] in ([], [path.name]):
            shutil.rmtree(leftover, ignore_errors=True)


def check_writable(path: Path) -> None:
    """Raises DistillError when no file or folder ``path`` can be made, before any work is done."""
    there = path.parent if path.is_file() else path
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise DistillError(f"{there} is a file; give another place for {path} (-o).")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        if error.errno in FULL:
            raise DistillError(f"The disk of {there} is full; {FIX}.") from error
        raise DistillError(
            f"Nothing can be written to {there} ({error.strerror}); choose another folder (-o), or "
            "change its permissions."
        ) from error
