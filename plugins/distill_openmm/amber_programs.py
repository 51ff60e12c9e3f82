"""AmberTools' programs, called as such (they are GPL): found, run for a limited time, ended."""

import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from distill.cache import Say
from distill.errors import DistillError
from distill.stop import ctrl_c_later

PROGRAMS = ("antechamber", "sqm", "parmchk2", "tleap")
EVERY = 5.0
"""Seconds between two lines of progress."""
GONE = 3.0
"""Seconds at most that killed programs are waited for."""


class TooSlow(Exception):
    """A program was ended because its time was over."""


class Failed(Exception):
    """A program ended with an error; what it wrote is the message."""


def search_path() -> str:
    """The folder of this Python's programs, then the PATH."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH') or os.defpath}"


def check_installed() -> None:
    """Raises DistillError where one of the programs is not there."""
    missing = [name for name in PROGRAMS if not shutil.which(name, path=search_path())]
    if missing:
        raise DistillError(
            f"AmberTools is needed for GAFF2, but there is no {missing[0]}: run "
            "pip install 'mlff-distiller[solvent]' (Linux on x86_64; elsewhere install AmberTools "
            "yourself), or give parameters of your own (--prmtop)."
        )


def run(command: list[str], folder: Path, *, seconds: float, say: Say, what: str) -> str:
    """Runs a program within ``folder``, with one thread; what it wrote to the terminal.

    ``what`` is said every few seconds, with the seconds that have gone by. The program and those
    that it calls are a process group of their own: Ctrl-C, an error or the end of ``seconds`` kill
    all of them. Should this process be killed itself, a limit on their CPU time ends them. Raises
    TooSlow, and Failed for an exit code other than 0.
    """
    program = shutil.which(command[0], path=search_path())
    if program is None:
        raise Failed(f"there is no {command[0]}")
    limit = f'ulimit -t {math.ceil(seconds) + 60}; exec "$0" "$@"'
    log = folder / f"{command[0]}.log"
    started = time.monotonic()
    process = None
    try:
        with open(log, "wb") as output, ctrl_c_later():
            process = subprocess.Popen(
                ["/bin/sh", "-c", limit, program, *command[1:]],
                cwd=folder,
                env={**os.environ, "PATH": search_path(), "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while True:
            gone = time.monotonic() - started
            if gone >= seconds:
                raise TooSlow
            # lines come at whole multiples of EVERY
            pause = min(seconds - gone, EVERY - gone % EVERY)
            try:
                code = process.wait(timeout=pause)
                break
            except subprocess.TimeoutExpired:
                gone = time.monotonic() - started
                if gone < seconds:
                    say(f"{what}: {gone:.0f} s (at most {seconds / 60:g} min)")
    finally:
        if process is not None:
            kill_group(process)
    text = log.read_text(errors="replace")
    if code:
        raise Failed(text)
    return text


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Ends a process group, and waits until all of it is gone."""
    until = time.monotonic() + GONE
    while time.monotonic() < until:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            break
        process.wait()
        time.sleep(0.01)
