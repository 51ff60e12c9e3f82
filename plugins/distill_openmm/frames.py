"""trajectory.dcd and md.csv, which can be cut back to an earlier moment."""

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from openmm import app, unit

COLUMNS = (
    "step", "time_ps", "potential_kj_per_mol", "kinetic_kj_per_mol", "temperature_k",
    "ligand_temperature_k", "rest_temperature_k", "volume_nm3", "density_g_per_cm3",
    "uncertainty_ev_per_angstrom", "unlike_training",
)  # fmt: skip
"""Of md.csv, as far as there is something to tell. The ligand is all that the student moves, the
rest what else there is; unlike_training is how many of the student's atoms are unlike all that it
has learned."""
FRAMES_AT, STEP_AT, DATE_AT = 8, 20, 180
"""Bytes of a DCD file's header where these are."""
TITLE = b"MLFF Distiller".ljust(80)
"""In the place of the date, so that the same run leaves the same file."""


class Frames:
    """The two files, open for more frames. ``sizes`` is where they are after the last one."""

    def __init__(
        self, out: Path, topology: app.Topology, columns: Sequence[str], timestep: float,
        every: int, sizes: tuple[int, int, int] | None = None,
    ) -> None:  # fmt: skip
        """columns: some of COLUMNS. timestep in fs, every in steps. sizes: cut back to so many
        frames, and bytes of both files, which earlier ``sizes`` gave; None makes them anew."""
        self.every, self.columns = every, columns
        self.count, dcd, table = sizes or (0, 0, 0)
        paths = out / "trajectory.dcd", out / "md.csv"
        if sizes is None:
            for path in paths:
                path.write_bytes(b"")
        for path, size in zip(paths, (dcd, table)):
            os.truncate(path, size)
        self.dcd: BinaryIO = paths[0].open("r+b")
        self.table = paths[1].open("a", newline="\n")
        if dcd:
            for place, number in ((FRAMES_AT, self.count), (STEP_AT, self.count * every)):
                if number < 2**31:  # beyond it the header counts in another way
                    self.dcd.seek(place)
                    self.dcd.write(struct.pack("<i", number))
            self.dcd.flush()
        if not table:
            self.table.write(",".join(columns) + "\n")
        step = timestep * unit.femtoseconds
        self.writer = app.DCDFile(self.dcd, topology, step, every, every, append=bool(dcd))
        if not dcd:
            self.dcd.seek(DATE_AT)
            self.dcd.write(TITLE)

    def write(
        self, positions: NDArray[np.float64], box: NDArray[np.float64] | None, row: dict[str, Any]
    ) -> None:
        """A frame: positions (N, 3) and box (3, 3) in nm, and the values of its row."""
        vectors = None if box is None else box * unit.nanometer
        self.writer.writeModel(positions * unit.nanometer, periodicBoxVectors=vectors)
        self.table.write(",".join(written(row.get(name)) for name in self.columns) + "\n")
        self.count += 1

    def sizes(self) -> tuple[int, int, int]:
        """How many frames, and bytes in each file, once all is on the disk."""
        found = []
        for file in (self.dcd, self.table):
            file.flush()
            os.fsync(file.fileno())
            found.append(os.fstat(file.fileno()).st_size)
        return self.count, found[0], found[1]

    def __enter__(self) -> "Frames":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.dcd.close()
        self.table.close()


def written(value: Any) -> str:
    """A value of md.csv: nothing for None, numbers with eight digits."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.8g}"
