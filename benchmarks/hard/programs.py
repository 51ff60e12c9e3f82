"""Programs in sessions of their own: started, stopped, looked at."""

import atexit
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

DISTILL = str(Path(sys.executable).parent / "distill")
PATIENCE = 1800.0
"""Seconds after which a program hangs, on a machine that does nothing else."""
TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Done:
    """How a program ended; code: None when it did not and was killed."""

    code: int | None
    out: str
    err: str
    seconds: float

    @property
    def last(self) -> str:
        """The last line that it wrote."""
        lines = (self.err.strip() or self.out.strip() or "no output").splitlines()
        return lines[-1][:200]


class Program:
    """A program in a session of its own, so that all its children are found, orphans too."""

    def __init__(self, command: Sequence[object], folder: Path, **environment: object):
        folder.mkdir(parents=True, exist_ok=True)
        self.out, self.err = (folder / f".{kind}" for kind in ("stdout", "stderr"))
        self.started = time.monotonic()
        _running.append(self)
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [str(word) for word in command], cwd=folder, stdin=subprocess.DEVNULL, stdout=out,
                stderr=err, start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
                | {key: str(value) for key, value in environment.items()},
            )  # fmt: skip

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def members(self) -> list[psutil.Process]:
        """All processes of its session that are no zombies."""
        found = []
        for process in psutil.process_iter(["status"]):
            try:
                same = os.getsid(process.pid) == self.process.pid
            except ProcessLookupError:
                continue
            if same and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found

    def send(self, number: signal.Signals) -> None:
        """A signal to all of its group, as a terminal sends it."""
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def finish(self, patience: float = PATIENCE) -> Done:
        """Waits for its end; kills what takes longer than ``patience`` seconds, load reckoned."""
        code: int | None
        try:
            code = self.process.wait(patience * load())
        except subprocess.TimeoutExpired:
            code = None
        seconds = time.monotonic() - self.started
        if code is None:
            self.kill()
        elif self in _running:
            _running.remove(self)
        return Done(code, self.out.read_text(), self.err.read_text(), seconds)

    def kill(self) -> None:
        """kill -9, all of it."""
        self.send(signal.SIGKILL)
        end(self.members())
        self.process.wait()
        if self in _running:
            _running.remove(self)

    def orphans(self, patience: float = 10.0) -> int:
        """How many of its processes are left when it has ended and they had time to."""
        deadline = time.monotonic() + patience * load()
        while (left := self.members()) and time.monotonic() < deadline:
            time.sleep(0.1)
        end(left)
        return len(left)

    def wait_until(self, condition: Callable[[], object]) -> bool:
        """Waits for the condition while it runs; whether it came."""
        while not condition():
            if not self.runs:
                return False
            time.sleep(0.02)
        return True


def end(processes: list[psutil.Process]) -> None:
    """kill -9 of those that are there."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass


_running: list[Program] = []


@atexit.register
def end_all() -> None:
    """Nothing runs on when the suite itself is stopped."""
    for program in list(_running):
        program.kill()


def run(command: Sequence[object], folder: Path, **environment: object) -> Done:
    """A program, to its end."""
    return Program(command, folder, **environment).finish()


def load() -> float:
    """How many times slower than an idle machine this one may be now."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def refusal_problem(done: Done, *names: object) -> str:
    """What is wrong with a refusal: it should be one sentence that has the names, and code 2."""
    if done.code is None:
        return "hangs"
    if done.code < 0:
        return f"ends by signal {signal.Signals(-done.code).name}"
    if TRACEBACK in done.out + done.err:
        return f"traceback: {done.last}"
    if done.code != 2:
        return f"code {done.code}, not 2: {done.last}"
    text = without_progress(done.err)
    if len(text.splitlines()) > 1:
        return f"{len(text.splitlines())} lines, not one sentence: {text.splitlines()[0][:150]}"
    missing = [str(name) for name in names if str(name) not in text]
    return f"does not name {', '.join(missing)}: {text[:150]}" if missing else ""


def without_progress(text: str) -> str:
    """Standard error without the lines that tell of progress."""
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n").splitlines()
    return "\n".join(x for x in lines if x.strip() and not x.startswith(("labelled ", "Training ")))


def success_problem(done: Done) -> str:
    """What is wrong with a run that should have succeeded."""
    if done.code is None:
        return "hangs"
    if done.code != 0:
        return f"code {done.code}: {done.last}"
    return f"traceback: {done.last}" if TRACEBACK in done.out + done.err else ""
