"""A student as the kernel wants it: a description of it, and its weights laid out for speed."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from distill.errors import DistillError
from distill.kernels.library import call, pointer
from distill.student.student import Student

INTERVALS = {"float32": 192, "float64": 1024}
"""Of the filters' quintic splines, by precision: as many as still gain accuracy. Forces differ from
those of exact filters (20 Bessel functions, 5 Å) by about 2e-6 and 1e-9 eV/Å."""

DTYPES: dict[str, Any] = {"float32": np.float32, "float64": np.float64}


def describe(student: Student, intervals: int) -> NDArray[np.float64]:
    """What ``csrc/student.h`` reads: seven numbers of the student, then four for each element."""
    config = student.config
    sizes = [
        config.hidden, config.layers, config.n_radial, len(config.elements), intervals,
        config.cutoff, config.softening,
    ]  # fmt: skip
    zbl = student.painn.zbl
    elements = torch.stack([zbl.z, student.reference, zbl.inverse_screening, zbl.radii], dim=-1)
    return np.concatenate([sizes, elements.detach().cpu().numpy().ravel()])


def sizes(meta: NDArray[np.float64]) -> tuple[int, int]:
    """How many parameters the student has, and how many numbers its packed weights."""
    counts = np.zeros(2, dtype=np.int64)
    call("distill_sizes", pointer(meta), len(meta), pointer(counts[:1]), pointer(counts[1:]))
    return int(counts[0]), int(counts[1])


def flat_parameters(student: Student, dtype: str) -> NDArray[Any]:
    """All trainable parameters, one after the other as in ``named_parameters``."""
    flat = torch.cat([p.detach().cpu().reshape(-1) for p in student.painn.parameters()])
    return flat.numpy().astype(DTYPES[dtype])


def prepare(
    student: Student, dtype: str, intervals: int | None = None
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """A student's description and packed weights in "float32" or "float64"."""
    if dtype not in DTYPES:
        raise DistillError(f"dtype is '{dtype}'; use 'float32' or 'float64'.")
    meta = describe(student, intervals or INTERVALS[dtype])
    return meta, pack(meta, flat_parameters(student, dtype))


def aligned(count: int, dtype: Any) -> NDArray[Any]:
    """Zeros that begin on a cache line, as every array in them then does; numpy's own do not."""
    memory = np.zeros(count * np.dtype(dtype).itemsize + 64, dtype=np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + count * np.dtype(dtype).itemsize].view(dtype)


def on_cache_line(array: NDArray[Any]) -> NDArray[Any]:
    """The array, or a copy that begins on a cache line."""
    if array.ctypes.data % 64 == 0:
        return array
    copy = aligned(len(array), array.dtype)
    copy[:] = array
    return copy


def pack(meta: NDArray[np.float64], flat: NDArray[Any], out: NDArray[Any] | None = None) -> Any:
    """The packed weights of flat parameters, in their precision; into ``out`` where it is given."""
    parameters, packed = sizes(meta)
    if len(flat) != parameters:
        raise DistillError(
            f"The student has {len(flat)} parameters, the kernel expects {parameters}: it is of "
            "another architecture than PaiNN as in distill.student; use backend='torch'."
        )
    if out is None:
        out = aligned(packed, flat.dtype)
    call("distill_pack", pointer(meta), len(meta), 8 * flat.itemsize, pointer(flat), pointer(out))
    return out
