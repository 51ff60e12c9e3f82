"""Checkpoints that are whole or not there, and that run no code when they are read."""

import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from distill.errors import DistillError, first_line
from distill.whole import whole_file

FIX = (
    "make room, then run the same command again (`distill train` with --resume): the checkpoint "
    "before this one, if there was one, is kept, and the run goes on from there"
)


class WholeCheckpointIO(TorchCheckpointIO):
    """Lightning's reader and writer of checkpoints, without its way through the system's temporary
    folder: that may be another disk, and what is moved from there may be cut off."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Raises DistillError, the file there before untouched, when the disk refuses."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with whole_file(path, FIX) as place:
            place.write_bytes(content.getbuffer())

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """See :func:`read_checkpoint`."""
        return read_checkpoint(Path(path), map_location or "cpu")


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """A checkpoint of ours; DistillError for one that is cut off, damaged or foreign."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch does not look at the checksums
        if damaged is not None:
            raise ValueError("its checksum is wrong")
        found: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
        state = found["distill"]
        state["settings"], state["steps_done"], state["seconds_done"]
    except Exception as error:  # zipfile, torch and pickle raise anything
        raise DistillError(
            f"{path} cannot be read ({type(error).__name__}: {first_line(error)}); delete it: the "
            "same command then starts this training anew."
        ) from error
    return found
