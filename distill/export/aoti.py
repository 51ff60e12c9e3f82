"""AOTInductor: compiled for this kind of machine; libtorch runs it, from C++ or Python."""

import json
import logging
import os
import tempfile
import warnings
from pathlib import Path

import torch

from distill.errors import DistillError
from distill.export.program import exported_program
from distill.student.student import Student
from distill.whole import whole_file

CARD = "distill"
"""The metadata entry with the student's card."""


def export_aoti(student: Student, path: str | Path) -> None:
    """Writes a package (.pt2) of ``exported_program``, compiled for the CPU: about a minute.

    ``torch._inductor.aoti_load_package(path)`` loads it. Raises DistillError where no C++ compiler
    is there, and for a path that does not end in .pt2, which torch asks for.
    """
    if Path(path).suffix != ".pt2":
        raise DistillError(f"An AOTInductor package must be named .pt2, not {path}.")
    program = exported_program(student)
    with whole_file(path) as place, tempfile.TemporaryDirectory() as cache:
        # the default cache is one for all users of the machine
        before = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        # that there is no CUDA, which is not wanted here
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # of torch to itself
                torch._inductor.aoti_compile_and_package(
                    program,
                    package_path=str(place),
                    inductor_configs={"aot_inductor.metadata": {CARD: json.dumps(student.card)}},
                )
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise DistillError(
                f"AOTInductor failed ({reason}); it needs a C++ compiler (on Debian: g++)."
            ) from error
        finally:
            if before is None:
                del os.environ["TORCHINDUCTOR_CACHE_DIR"]
            else:
                os.environ["TORCHINDUCTOR_CACHE_DIR"] = before
