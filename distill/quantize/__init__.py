"""Students in fewer bits: their files, and what becomes of their answers."""

from distill.quantize.weights import PRECISIONS, pack, unpack

__all__ = ["PRECISIONS", "pack", "unpack"]
