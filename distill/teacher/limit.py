"""A time limit for what is called, where the operating system can set an alarm."""

import math
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from distill.errors import DistillError

OPTION = "time-limit"
"""The name of the teacher's option, in seconds for one geometry."""


def time_limit(options: Mapping[str, str] | None) -> float | None:
    """The limit in seconds of a teacher's options; DistillError for what is no time."""
    text = (options or {}).get(OPTION)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise DistillError(
            f"The option {OPTION} is '{text}'; give the seconds that one geometry may take."
        )
    return seconds


class TookTooLong(BaseException):
    """No Exception, which calculators catch to try again."""


@contextmanager
def limited(seconds: float | None) -> Iterator[None]:
    """TookTooLong inside, again and again, when it takes longer. None: no limit.

    It ends Python code and waiting for other programs, not one long call into a compiled library;
    and it works in the main thread only, as signals do.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: Any) -> None:
        raise TookTooLong(f"it took longer than the {seconds:g} s of {OPTION}")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
