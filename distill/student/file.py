"""The student file: safetensors with a JSON header. No pickle is ever read."""

import hashlib
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from distill.errors import DistillError, first_line
from distill.quantize.weights import pack, unpack
from distill.student.config import SIZES, StudentConfig
from distill.student.latent import Latent
from distill.student.student import Student
from distill.whole import whole_file

FORMAT = "mlff-distiller student"
FORMAT_VERSION = 3
EARLIER_VERSIONS = (1, 2)
"""1: float32 alone. 2: fewer bits, too. 3: students have a softening."""
SHIPPED = (*SIZES, "scout", "scout-ultra-tiny")
"""The scouts are an early ``tiny`` and ``ultra-tiny`` whose MD made geometries that the others were
trained on."""


CHECKSUM = "sha256"
"""In the header: of all the rest of it and of the tensors. Files from before it have none."""
OTHERS = {
    ".onnx": "an ONNX file: distill_ase.OnnxCalculator runs it",
    ".pt2": "an AOTInductor package: torch._inductor.aoti_load_package runs it",
    ".h5": "a dataset: distill train makes a student of it",
}


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
        "format_version": FORMAT_VERSION,
        "architecture": {"family": "PaiNN", **student.config.as_dict()},
    }
    tensors = {k: v.detach().cpu().contiguous() for k, v in student.state_dict().items()}
    tensors |= student.latent.tensors() if student.latent else {}
    tensors = pack(tensors, precision, scales)
    header[CHECKSUM] = checksum(header, tensors)
    with whole_file(path) as place:
        save_file(tensors, place, metadata={"distill": json.dumps(header)})


def same(one: str, other: str) -> bool:
    """Whether two names or paths mean the same student."""
    return one == other or Path(one).resolve() == Path(other).resolve()


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
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise DistillError(
            f"The student is of the type {type(name_or_path).__name__}; give a path to a "
            f".safetensors file or one of the shipped names: {', '.join(SIZES)}."
        )
    path = Path(name_or_path)
    try:
        found, folder = path.is_file(), path.is_dir()
    except OSError:  # such as a name that is too long
        found = folder = False
    if folder:
        inside = path / "student.safetensors"
        raise DistillError(
            f"No student file at {path}, which is a folder; give "
            f"{inside if inside.is_file() else 'a .safetensors file'}."
        )
    if not found:
        raise DistillError(
            f"No student file at {path}; give a path to a .safetensors file or one of the shipped "
            f"names: {', '.join(SIZES)}."
        )
    return path


def read_header(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The checked JSON header of a student file, and its tensors."""
    if path.suffix in OTHERS:
        raise DistillError(f"{path} is {OTHERS[path.suffix]}; give a student, a .safetensors file.")
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise DistillError(
            f"{path} cannot be read ({error.strerror}); look at its rights."
        ) from error
    if start in (b"PK", b"\x80\x02", b"\x80\x04", b"\x80\x05"):
        raise DistillError(
            f"{path} is a pickle or a torch checkpoint, which may run code and is never read; "
            "give a .safetensors file written by distill."
        )
    try:
        with safe_open(str(path), framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError, MemoryError) as error:
        raise DistillError(
            f"{path} is truncated or not a safetensors file ({error}); make or copy it again."
        ) from error
    try:
        header = json.loads(metadata["distill"])
        if header["format"] != FORMAT:
            raise KeyError("format")
        version = int(header["format_version"])
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DistillError(
            f"{path} is a safetensors file of another program (it has no distill header); "
            "give a file written by distill."
        ) from error
    if version not in (*EARLIER_VERSIONS, FORMAT_VERSION):
        newer = version > FORMAT_VERSION
        fix = "upgrade mlff-distiller" if newer else "write it again with this version of distill"
        raise DistillError(
            f"{path} has student format {version}, but this mlff-distiller reads format "
            f"{FORMAT_VERSION} and earlier; {fix}."
        )
    promised = header.pop(CHECKSUM, None)
    if promised is not None and promised != checksum(header, tensors):
        raise DistillError(
            f"{path} is damaged: it is not what distill has written (its checksum differs); make "
            "or copy it again."
        )
    try:
        return header, unpack(tensors)
    except (RuntimeError, IndexError) as error:  # scales that are not of the matrices
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> DistillError:
    return DistillError(
        f"{path} does not hold what its header promises ({first_line(error)}); make or copy it "
        "again."
    )


def checksum(header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 of a header, and of the tensors with their names, types and shapes."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, x in sorted(tensors.items()):
        digest.update(f"\n{name} {x.dtype} {tuple(x.shape)}\n".encode())
        digest.update(x.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@torch.inference_mode(False)
def load_student(
    name_or_path: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> Student:
    """A student ready for evaluation: a shipped one by name, or a file.

    Raises DistillError when the file is missing, truncated, damaged, foreign, pickled or of another
    format, when it has weights that are not finite, and for a device that torch does not have.
    """
    path = student_path(name_or_path)
    header, tensors = read_header(path)
    try:
        # a default device or dtype of the caller's is not meant for this
        with torch.random.fork_rng(devices=[]), torch.device("cpu"), _default_dtype(torch.float32):
            student = _student_of(header, tensors)
    except (
        LookupError,
        AttributeError,
        TypeError,
        ValueError,
        ArithmeticError,
        RuntimeError,
        DistillError,
    ) as error:
        raise _broken(path, error) from error
    student.eval().requires_grad_(False)
    try:
        return student.to(device=device, dtype=dtype)
    except (RuntimeError, AssertionError) as error:
        raise DistillError(
            f"device '{device}' cannot be used ({first_line(error)}); use 'cpu'."
        ) from error


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _student_of(header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Student:
    """What a header and its tensors describe; raises anything where they do not fit."""
    fields = dict(header["architecture"])
    family = fields.pop("family")
    if family != "PaiNN":
        raise DistillError(f"it is of the family {family}, not PaiNN")
    config = StudentConfig.from_dict(fields)
    # before a network is made that might be of any size
    sizes = {
        "elements and hidden features": (
            (len(config.elements), config.hidden), tensors["painn.embedding.weight"].shape,
        ),
        "radial functions": (
            (config.n_radial,), tensors["painn.messages.0.filter.weight"].shape[1:],
        ),
        "layers": (
            (config.layers,), (sum(k.endswith(".filter.weight") for k in tensors),),
        ),
    }  # fmt: skip
    for what, (promised, found) in sizes.items():
        if promised != tuple(found):
            raise DistillError(f"the {what} are {promised}, but its weights are for {tuple(found)}")
    for name, x in tensors.items():
        if not x.is_floating_point():
            raise DistillError(f"{name} is in {x.dtype}")
        # an element that the training set did not have has no mean in the latent space
        if name != "latent.mean" and not bool(x.isfinite().all()):
            raise DistillError(f"{name} is not finite")
    student = Student(config, card=header)
    # float64 students keep their precision through the round trip
    if tensors["painn.embedding.weight"].dtype == torch.float64:
        student.double()
    student.latent = Latent.from_file(tensors, header.get("uncertainty"))
    student.load_state_dict(tensors)
    if student.latent is not None:
        _check_latent(student.latent, config)
    return student


def _check_latent(latent: Latent, config: StudentConfig) -> None:
    width = config.hidden
    shapes = tuple(latent.mean.shape), tuple(latent.whitening.shape)
    if shapes != ((len(config.elements), width), (width, width)):
        raise DistillError(f"what tells its uncertainty has the shapes {shapes}")
    if not all(map(math.isfinite, (latent.scale, latent.power, latent.limit))):
        raise DistillError("what tells its uncertainty is not finite")
