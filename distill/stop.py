"""Ctrl-C: who hears it, and when."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType
from typing import Any, NoReturn

LINUX_PDEATHSIG = 1
STOPPED = 130
"""The exit code after Ctrl-C."""
LONGEST = 3.0


@contextmanager
def ctrl_c_later() -> Iterator[list[int]]:
    """Within the block Ctrl-C waits for its end, and processes started there never see it.

    A new process inherits which signals are blocked, so it cannot die of a Ctrl-C while it still
    imports its libraries, before it could say that it does not want it. Gives a list that holds
    something as soon as Ctrl-C has come, for a long block that would rather end early. In another
    thread than the main one, which Ctrl-C never interrupts, only the new processes are cared for.
    """
    came: list[int] = []
    resource_tracker.ensure_running()  # starting it later would unblock the signal
    before = signal.getsignal(signal.SIGINT)
    # else Ctrl-C is ignored, ends the program at once, or is not Python's affair
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        before = None
    if before is not None:
        signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield came
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if before is not None:
            signal.signal(signal.SIGINT, before)
            if came and callable(before):
                before(signal.SIGINT, None)


def like_ctrl_c(number: int, frame: FrameType | None) -> None:
    """A signal's handler: does what Ctrl-C would do at this moment."""
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler):
        handler(signal.SIGINT, frame)


def listen() -> None:
    """For a program's main thread: Ctrl-C, and SIGTERM, raise KeyboardInterrupt where it is heard.

    In the middle of an import it often is not: a compiled module makes an ImportError of it, or
    Python prints that it has ignored it. There it waits for the end of the import, for LONGEST
    seconds; then, or by a second one, the program ends at once.
    """
    since: float | None = None

    def ctrl_c(number: int, frame: FrameType | None) -> None:
        nonlocal since
        if _deaf(frame):
            now = time.monotonic()
            if since is not None and (number == signal.SIGINT or now - since > LONGEST):
                os.write(2, b"Stopped.\n")
                leave(STOPPED)
            since = now if since is None else since
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            return
        since = None
        raise KeyboardInterrupt

    def heard(number: int, frame: FrameType | None) -> None:
        handler = signal.getsignal(signal.SIGINT)
        # a script's background job ignores Ctrl-C; SIGTERM shall end it all the same
        (handler if callable(handler) else ctrl_c)(number, frame)

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # in the background of a script
        signal.signal(signal.SIGINT, ctrl_c)
    signal.signal(signal.SIGALRM, heard)  # not SIGINT: it is no second Ctrl-C
    signal.signal(signal.SIGTERM, lambda number, frame: heard(signal.SIGINT, frame))


def _deaf(frame: FrameType | None) -> bool:
    """Whether an exception raised here might be lost."""
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith("<frozen importlib") or code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def hears_ctrl_c(function: Callable[..., Any], *args: Any) -> Any:
    """function(*args), for one that lets go of the GIL and takes Ctrl-C for itself.

    RDKit's embedding does: it ends without a result, as if it had found none, and nobody hears of
    Ctrl-C. Here KeyboardInterrupt is raised at once; the call goes on in a thread of its own, which
    ends by the limit that it was given.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        return function(*args)
    outcome: list[Any] = []

    def call() -> None:
        try:
            outcome.append((function(*args), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=call)
    thread.start()
    patience = 0.0005
    while thread.is_alive():
        signal.signal(signal.SIGINT, before)  # the library has put its own in the place of this
        thread.join(patience)
        patience = min(2 * patience, 0.05)
    signal.signal(signal.SIGINT, before)
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


def follow_parent() -> None:
    """In a new worker: Ctrl-C is the parent's affair, and a killed parent takes us along."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform == "linux":  # also while a library holds the GIL
        import ctypes

        ctypes.CDLL(None).prctl(LINUX_PDEATHSIG, signal.SIGKILL)

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def done(code: object) -> None:
    """The work is over: Ctrl-C and SIGTERM while the program ends only make it end at once."""

    def at_once(number: int, frame: FrameType | None) -> None:
        os._exit(code if isinstance(code, int) else int(code is not None))

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, at_once)


def leave(code: int) -> NoReturn:
    """Ends the program and its children now: what libraries do at the end may take for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for child in multiprocessing.active_children():
        child.kill()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(code)
