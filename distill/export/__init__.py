"""A student as a file that runs without this package."""

from distill.export.torchscript import export_torchscript

__all__ = ["export_torchscript"]
