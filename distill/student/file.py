"""The student file: safetensors with a JSON header. No pickle is ever read."""

import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from distill.errors import DistillError
from distill.quantize.weights import pack, unpack
from distill.student.config import SIZES, StudentConfig
from distill.student.latent import Latent
from distill.student.student import Student
from distill.whole import whole_file

FORMAT = "mlff-distiller student"
FORMAT_VERSION = 1
QUANTIZED_VERSION = 2
"""Of files with fewer bits, which an earlier version would have misread."""
SHIPPED = (*SIZES, "scout", "scout-ultra-tiny")
"""The scouts are an early ``tiny`` and ``ultra-tiny`` whose MD made geometries that the others were
trained on."""


def save_student(
    student: Student,
    path: str | Path,
    precision: str = "float32",
    scales: dict[str, torch.Tensor] | None = None,
) -> None:
    """Writes weights and card; the file appears whole or not at all.

    precision: of the weights, one of ``distill.quantize.PRECISIONS``; "float32" keeps float64.
    scales: of INT8 weights, see ``distill.quantize.pack``.
    """
    header = {
        **student.card,
        "precision": precision,
        "uncertainty": student.latent.fields() if student.latent else None,
        "format": FORMAT,
        "format_version": FORMAT_VERSION if precision == "float32" else QUANTIZED_VERSION,
        "architecture": {"family": "PaiNN", **student.config.as_dict()},
    }
    tensors = {k: v.detach().cpu().contiguous() for k, v in student.state_dict().items()}
    tensors |= student.latent.tensors() if student.latent else {}
    tensors = pack(tensors, precision, scales)
    header["checksum"] = checksum(header, tensors)
    with whole_file(path) as place:
        save_file(tensors, place, metadata={"distill": json.dumps(header)})


def checksum(header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> str:
    """Of all that a student file says, but for the checksum itself."""
    rest = {key: value for key, value in header.items() if key != "checksum"}
    found = hashlib.blake2b(json.dumps(rest, sort_keys=True).encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def student_path(name_or_path: str | Path) -> Path:
    """Where a shipped student or a user's file is; DistillError when there is none."""
    if str(name_or_path) in SHIPPED:
        path = Path(str(files("distill") / "pretrained" / f"{name_or_path}.safetensors"))
        if not path.is_file():
            raise DistillError(
                f"The shipped student '{name_or_path}' is missing from this installation; "
                "install mlff-distiller again, or give a file's path."
            )
        return path
    path = Path(name_or_path)
    if not path.is_file():
        raise DistillError(
            f"No student file at {path}; give a path to a .safetensors file or one of the shipped "
            f"names: {', '.join(SIZES)}."
        )
    return path


def read_header(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The checked JSON header of a student file, and its tensors."""
    with path.open("rb") as file:
        start = file.read(2)
    if start in (b"PK", b"\x80\x02", b"\x80\x04", b"\x80\x05"):
        raise DistillError(
            f"{path} is a pickle or a torch checkpoint, which may run code and is never read; "
            "give a .safetensors file written by distill."
        )
    try:
        with safe_open(str(path), framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError, MemoryError) as error:
        raise DistillError(
            f"{path} is truncated or not a safetensors file ({error}); make or copy it again."
        ) from error
    try:
        header = json.loads(metadata["distill"])
        if header["format"] != FORMAT:
            raise KeyError("format")
        version = int(header["format_version"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DistillError(
            f"{path} is a safetensors file of another program (it has no distill header); "
            "give a file written by distill."
        ) from error
    if version not in (FORMAT_VERSION, QUANTIZED_VERSION):
        newer = version > QUANTIZED_VERSION
        fix = "upgrade mlff-distiller" if newer else "write it again with this version of distill"
        raise DistillError(
            f"{path} has student format {version}, but this mlff-distiller reads format "
            f"{QUANTIZED_VERSION} and earlier; {fix}."
        )
    # files of earlier versions have none
    if "checksum" in header and header["checksum"] != checksum(header, tensors):
        raise DistillError(
            f"{path} is damaged: it is not what was written, by its checksum; make or copy it "
            "again."
        )
    header.pop("checksum", None)
    return header, unpack(tensors)


def check_finite(student: Student) -> None:
    """Raises ValueError for weights that are NaN or infinite."""
    broken = [name for name, t in student.state_dict().items() if not t.isfinite().all()]
    if broken:
        raise ValueError(f"{broken[0]} has a weight that is NaN or infinite")


def load_student(
    name_or_path: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> Student:
    """A student ready for evaluation: a shipped one by name, or a file.

    Raises DistillError when the file is missing, truncated, foreign, pickled or of another format.
    """
    path = student_path(name_or_path)
    header, tensors = read_header(path)
    try:
        fields = {k: v for k, v in header["architecture"].items() if k != "family"}
        with torch.random.fork_rng(devices=[]):
            student = Student(StudentConfig.from_dict(fields), card=header)
        # float64 students keep their precision through the round trip
        if tensors["painn.embedding.weight"].dtype == torch.float64:
            student.double()
        student.latent = Latent.from_file(tensors, header.get("uncertainty"))
        student.load_state_dict(tensors)
        check_finite(student)
    except (
        LookupError,
        AttributeError,
        TypeError,
        ValueError,
        ArithmeticError,
        RuntimeError,
        MemoryError,
        DistillError,
    ) as error:
        reason = str(error).splitlines()[0]
        raise DistillError(
            f"{path} does not hold what its header promises ({reason}); make or copy it again."
        ) from error
    student.eval().requires_grad_(False)
    return student.to(device=device, dtype=dtype)
