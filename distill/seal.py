"""A checksum at the end of a file whose format ignores what comes after its own end.

HDF5 may crash, or read for ever, where a bit of a file has turned over: a dataset is looked at as a
whole before HDF5 sees it. A file without a seal (by an earlier version, or changed by another
program, which cuts the seal off) passes.
"""

import hashlib
from pathlib import Path

MAGIC = b"MLFFseal"
SIZE = 16
LENGTH = len(MAGIC) + SIZE
CHUNK = 1 << 20


def seal_of(content: bytes) -> bytes:
    """What goes to the end of a file of this content."""
    return MAGIC + hashlib.blake2b(content, digest_size=SIZE).digest()


def onnx_seal_of(content: bytes) -> bytes:
    """The same for an ONNX file, whose end must be a message of its own: one entry of the metadata,
    which adds to those before (protobuf merges messages that follow each other)."""
    key, value = MAGIC, hashlib.blake2b(content, digest_size=SIZE).hexdigest().encode()
    entry = b"\x0a" + bytes([len(key)]) + key + b"\x12" + bytes([len(value)]) + value
    return b"\x72" + bytes([len(entry)]) + entry  # ModelProto.metadata_props


def onnx_intact(content: bytes) -> bool:
    """Whether an ONNX file is as it was sealed; also true for one without a seal."""
    end = len(content) - len(onnx_seal_of(b""))
    if MAGIC not in content[end:]:
        return MAGIC not in content
    return content[end:] == onnx_seal_of(content[:end])


def seal(path: Path) -> None:
    """Adds the seal to a finished file."""
    with path.open("r+b") as file:
        digest = _digest(file, path.stat().st_size)
        file.seek(0, 2)
        file.write(MAGIC + digest)


def intact(path: Path) -> bool:
    """Whether a file is as it was sealed; also true for one without a seal."""
    length = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, length - LENGTH))
        end = file.read()
        if not end.startswith(MAGIC):
            return MAGIC not in end  # a seal that is not at the end has been cut off
        file.seek(0)
        return _digest(file, length - LENGTH) == end[len(MAGIC) :]


def _digest(file: object, length: int) -> bytes:
    found = hashlib.blake2b(digest_size=SIZE)
    while length > 0 and (chunk := file.read(min(CHUNK, length))):  # type: ignore[attr-defined]
        found.update(chunk)
        length -= len(chunk)
    return found.digest()
