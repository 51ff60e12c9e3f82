"""The compiled library: finding it, its functions, its errors."""

import ctypes
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from distill.errors import DistillError

FILE = Path(__file__).with_name("libdistill.dylib" if sys.platform == "darwin" else "libdistill.so")

P, I64, INT, DOUBLE = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_double
META = [P, I64]
ARGUMENTS: dict[str, list[Any]] = {
    "distill_set_isa": [ctypes.c_char_p],
    "distill_sizes": [*META, P, P],
    "distill_pack": [*META, INT, P, P],
    "distill_evaluate": [*META, INT, P, I64, P, P, I64, P, P, P, P, INT, P, P, P, P, P, P],
    "distill_evaluate_part": [*META, INT, P, I64, I64, P, I64, *[P] * 12],
    "distill_new_list": [],
    "distill_free_list": [I64],
    "distill_list_rebuilds": [I64],
    "distill_evaluate_md": [*META, INT, P, I64, P, P, P, P, I64, DOUBLE, INT, P, P, P, P, P, P],
    "distill_neighbours": [I64, P, P, P, DOUBLE, INT, P, P, P],
    "distill_batch": [*META, INT, P, P, INT, P, P],
    "distill_gradients": [*META, INT, P, P, P, P, P, P, INT, P],
    "distill_register_operators": [ctypes.c_char_p],
}
LONG_RESULTS = ("distill_new_list", "distill_list_rebuilds", "distill_neighbours")


@cache
def _loaded() -> ctypes.CDLL | str:
    """The library, or why it is not there."""
    if not FILE.is_file():
        return (
            "the fused kernel was not compiled when mlff-distiller was installed; install a C++ "
            "compiler (g++ or clang) and install mlff-distiller again"
        )
    try:
        library = ctypes.CDLL(str(FILE))
    except OSError as error:
        return f"{FILE.name} cannot be loaded ({error}); install mlff-distiller again"
    for name, arguments in ARGUMENTS.items():
        getattr(library, name).argtypes = arguments
    for name in LONG_RESULTS:
        getattr(library, name).restype = ctypes.c_int64
    for name in ("distill_error", "distill_isa"):
        getattr(library, name).restype = ctypes.c_char_p
    library.distill_free_list.restype = None
    return library


def available() -> bool:
    """Whether the kernel can be used here."""
    return not isinstance(_loaded(), str)


def why_not() -> str:
    """Why the kernel cannot be used; empty when it can."""
    found = _loaded()
    return found if isinstance(found, str) else ""


@cache
def warn_once() -> None:
    """Says, once a process, that torch does the work."""
    warnings.warn(f"Running through torch, more slowly: {why_not()}.", stacklevel=3)


def choose_backend(backend: str, device: str, dtype: str = "float32") -> str:
    """ "kernel" or "torch" for a torch device; DistillError unless the backend can be had."""
    from distill.kernels import cuda

    if backend not in ("auto", "torch", "kernel"):
        raise DistillError(f"backend is '{backend}'; use 'auto', 'torch' or 'kernel'.")
    if backend == "torch":
        return "torch"
    on_cpu = device.split(":")[0] == "cpu"
    if available() if on_cpu else cuda.available(device):
        # the CUDA kernels are float32
        return "kernel" if on_cpu or dtype == "float32" else "torch"
    if backend == "kernel":
        if not on_cpu:
            cuda.require(device)
        raise DistillError(f"There is no fused kernel: {why_not()}; or use backend='torch'.")
    if on_cpu:
        warn_once()
    return "torch"


def library() -> ctypes.CDLL:
    """The library; DistillError when it is not there."""
    found = _loaded()
    if isinstance(found, str):
        raise DistillError(f"There is no fused kernel: {found}; or use backend='torch'.")
    return found


def call(name: str, *arguments: Any) -> None:
    """Calls a function that returns 0 or an error; arrays are handed over as pointers."""
    loaded = library()
    if getattr(loaded, name)(*arguments):
        raise DistillError(loaded.distill_error().decode())


def pointer(array: NDArray[Any] | None) -> int | None:
    """The address of an array's data. The caller keeps the array alive, dense and of the right
    type."""
    return None if array is None else array.ctypes.data


def instruction_set() -> str:
    """What the kernel runs on: "avx512", "avx2" or "baseline"."""
    return str(library().distill_isa().decode())


@cache
def register_operators() -> None:
    """Makes ``torch.ops.distill.painn`` and ``painn_md`` known to torch."""
    import torch

    suffix = "dylib" if sys.platform == "darwin" else "so"
    path = Path(torch.__file__).parent / "lib" / f"libtorch_cpu.{suffix}"
    if library().distill_register_operators(str(path).encode()):
        raise DistillError(
            f"torch {torch.__version__} does not take the kernel's operators; use torch 2.10 or "
            "later, or backend='torch'."
        )
