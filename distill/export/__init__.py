"""A student as a file that runs without this package."""

from distill.export.aoti import export_aoti
from distill.export.onnx import export_onnx
from distill.export.torchscript import export_torchscript

FORMATS = {"torchscript": export_torchscript, "onnx": export_onnx, "aoti": export_aoti}

__all__ = ["FORMATS", "export_aoti", "export_onnx", "export_torchscript"]
