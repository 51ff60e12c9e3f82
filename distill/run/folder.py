"""The folder of a run: its settings, its log, and the time spent on it."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from distill.errors import DistillError
from distill.run.settings import RunSettings
from distill.whole import write_json

WRITE_EVERY = 5.0
"""Seconds between two writings of the time that a run has taken: a kill loses no more of it."""


class RunFolder:
    """The output folder and its settings file; refuses a folder that holds something else."""

    def __init__(self, path: Path, settings: RunSettings):
        self.path = path
        self.file = path / "run.json"
        self.times: Callable[[], dict[str, float]] = dict  # the clock's, as soon as there is one
        wanted = json.loads(json.dumps(asdict(settings)))
        if path.exists() and not path.is_dir():
            raise DistillError(f"{path} is a file; give a folder for the results (-o).")
        if self.file.is_file():
            try:
                self.state = json.loads(self.file.read_text())
                # a run of an earlier version lacks the younger settings
                found = {**asdict(RunSettings("")), **self.state["settings"]}
            except (ValueError, KeyError, TypeError) as error:
                raise DistillError(
                    f"{self.file} is not ours or damaged; give another -o."
                ) from error
            different = [k for k in wanted if not same(found.get(k), wanted[k])]
            if different:
                key = different[0]
                raise DistillError(
                    f"{path} holds another run ({key} is {found.get(key)!r} there, "
                    f"{wanted[key]!r} here); give another -o, or the same settings to go on."
                )
        elif path.is_dir() and not self.just_begun():
            raise DistillError(f"{path} is not empty and holds no run; give another -o.")
        else:
            (path / "work").mkdir(parents=True, exist_ok=True)
            self.state = {"settings": wanted, "seconds": 0.0}
            self.write()

    def just_begun(self) -> bool:
        """Whether the folder holds nothing, or what a run leaves that was killed at its start."""
        found = {path.name for path in self.path.iterdir()} - {f".{self.file.name}"}
        work = self.path / "work"
        return found <= {"work"} and not (work.is_dir() and any(work.iterdir()))

    @property
    def finished(self) -> bool:
        return bool(self.state.get("done"))

    def mark(self, stage: str) -> None:
        self.state[stage] = True
        self.write()

    def write(self) -> None:
        self.state |= self.times()
        write_json(self.file, self.state)

    def logger(self, console: Console) -> Callable[[str], None]:
        """Prints a line, and adds it to run.log with the time."""

        def say(text: str) -> None:
            console.print(text, highlight=False)
            with (self.path / "run.log").open("a") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")

        return say


class Clock:
    """Seconds spent on a run, over all its starts; whatever is written to run.json says them, too.

    waited: those that count for no budget, see :meth:`stopped`.
    """

    def __init__(self, folder: RunFolder, budget: float):
        self.folder = folder
        self.budget = budget
        self.before = float(folder.state.get("seconds", 0.0))
        self.waited = float(folder.state.get("waited", 0.0))
        self.started = self.written = time.monotonic()
        self.goes = True
        folder.times = self.times

    def times(self) -> dict[str, float]:
        """``seconds`` spent of the budget, and those ``waited``."""
        passed = time.monotonic() - self.started
        spent, waited = (passed, 0.0) if self.goes else (0.0, passed)
        return {"seconds": self.before + spent, "waited": self.waited + waited}

    def spent(self) -> float:
        """Of the budget; loops may ask all the time, it is written every few seconds."""
        now = time.monotonic()
        if now - self.written >= WRITE_EVERY:
            self.written = now
            self.folder.write()
        return self.times()["seconds"]

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """What is done within costs nothing of the budget."""
        before = self.goes
        self._turn(False)
        try:
            yield
        finally:
            self._turn(before)

    def _turn(self, goes: bool) -> None:
        """It goes, or stands, from now on."""
        times = self.times()
        self.before, self.waited = times["seconds"], times["waited"]
        self.started, self.goes = time.monotonic(), goes
        self.folder.write()


def same(found: Any, wanted: Any) -> bool:
    """Whether a setting is the one in the folder; that a file's name was not given from the root
    on, as runs of earlier versions wrote it, is no difference."""
    if found == wanted or not (isinstance(found, str) and isinstance(wanted, str)):
        return bool(found == wanted)
    return os.path.isfile(wanted) and os.path.abspath(found) == wanted
