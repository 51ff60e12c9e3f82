"""The folder of a run: its settings, its log, and the time spent on it."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from distill.errors import DistillError
from distill.run.settings import RunSettings
from distill.whole import whole_file


class RunFolder:
    """The output folder and its settings file; refuses a folder that holds something else."""

    def __init__(self, path: Path, settings: RunSettings):
        self.path = path
        self.file = path / "run.json"
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
            different = [k for k in wanted if found.get(k) != wanted[k]]
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
        write_json(self.file, self.state)

    def logger(self, console: Console) -> Callable[[str], None]:
        """Prints a line, and adds it to run.log with the time."""

        def say(text: str) -> None:
            console.print(text, highlight=False)
            with (self.path / "run.log").open("a") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")

        return say


class Clock:
    """Seconds spent on a run, over all its starts.

    waited: those of them that count for no budget, see :meth:`stopped`.
    """

    def __init__(self, folder: RunFolder, budget: float):
        self.folder = folder
        self.budget = budget
        self.before = float(folder.state.get("seconds", 0.0))
        self.waited = float(folder.state.get("waited", 0.0))
        self.started = time.monotonic()

    def spent(self) -> float:
        """Of the budget."""
        seconds = self.before + time.monotonic() - self.started
        self.folder.state |= {"seconds": seconds, "waited": self.waited}
        self.folder.write()
        return seconds

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """What is done within costs nothing of the budget."""
        self.before, began = self.spent(), time.monotonic()
        try:
            yield
        finally:
            self.started = time.monotonic()
            self.waited += self.started - began
            self.spent()


def write_json(path: Path, value: Any) -> None:
    """A JSON file, whole or not at all."""
    with whole_file(path) as place:
        place.write_text(json.dumps(value, indent=2) + "\n")
