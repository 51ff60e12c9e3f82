"""How a run in LAMMPS ends when something is wrong: with one sentence, on all ranks."""

import ctypes
import os
import sys
import time
import traceback
from types import TracebackType
from typing import Any, NoReturn

from distill.errors import DistillError

DAMAGED = "the file is cut off or damaged; write it again: distill export NAME --format mliap"


class Reading:
    """The first thing in a file for ML-IAP: what fails from there on, up to `ended`, gets one."""

    begun = False

    def __reduce__(self) -> Any:
        return Reading.begin, ()

    @staticmethod
    def begin() -> None:
        """Called when the file is unpickled."""
        speak_plainly()
        Reading.begun = True

    @staticmethod
    def ended() -> None:
        """All has been read."""
        Reading.begun = False


def speak_plainly() -> None:
    """LAMMPS prints what Python raises with a traceback; of our own errors, only the sentence."""
    before = sys.excepthook
    if getattr(before, "of_distill", False):
        return

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        damaged = Reading.begun and not isinstance(error, DistillError)
        Reading.begun = False
        if damaged:
            error = DistillError(DAMAGED)
        if isinstance(error, DistillError):
            if not getattr(error, "silent", False):
                print(f"ERROR from the student: {error}", file=sys.stderr, flush=True)
        else:
            before(kind, error, trace)

    hook.of_distill = True  # type: ignore[attr-defined]
    sys.excepthook = hook


def everywhere(sentence: str, rank: int) -> NoReturn:
    """Of an error that all ranks meet: each raises it, rank 0 says it, and LAMMPS ends the run."""
    error = DistillError(sentence)
    error.silent = rank != 0  # type: ignore[attr-defined]
    raise error


def here(error: Exception, rank: int, size: int) -> NoReturn:
    """Of an error that this rank alone may have met: LAMMPS would wait for the others for ever, so
    that all are ended here. Alone, it is raised."""
    if size == 1:
        raise error
    if rank:
        time.sleep(2)  # where rank 0 has met the same, it says so, and ends all
    if not isinstance(error, DistillError):
        traceback.print_exception(error)
    print(f"ERROR from the student, on rank {rank}: {error}", file=sys.stderr, flush=True)
    process = ctypes.CDLL(None)
    process.fflush(None)  # LAMMPS' log and dumps
    time.sleep(0.5)  # mpiexec hands the sentence on before it ends all
    abort = getattr(process, "MPI_Abort", None)
    if abort is not None:
        # MPI_COMM_WORLD: a number in MPICH and its kin, an object in Open MPI
        try:
            world = ctypes.addressof(ctypes.c_char.in_dll(process, "ompi_mpi_comm_world"))
            abort(ctypes.c_void_p(world), 1)
        except ValueError:
            abort(ctypes.c_int(0x44000000), 1)
    os._exit(1)
