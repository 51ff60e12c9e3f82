"""ONNX: energy and forces in one graph, for ONNX Runtime and others; no torch is needed there."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import torch

from distill.errors import DistillError
from distill.export.edge_sums import gather_edge_sums
from distill.export.program import OUTPUTS, exported_program
from distill.seal import onnx_seal_of
from distill.student.neighbours import INPUTS
from distill.student.student import Student
from distill.whole import whole_file

OPSET = 18
"""Runs in ONNX Runtime 1.14 (2023) and later."""
CARD = "distill"
"""The metadata property with the student's card and what a caller must know of it."""


def export_onnx(student: Student, path: str | Path) -> None:
    """Writes the model of ``exported_program``; its metadata has the card under "distill".

    Raises DistillError where the packages onnx and onnxscript are missing.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch's exporter needs it)
    except ImportError as error:
        raise DistillError(
            f"Export to ONNX needs {error.name}: pip install 'mlff-distiller[onnx]'."
        ) from error
    # of torchvision, which is not wanted here, and of empty lists, which are meant
    for chatty in ("torch.onnx._internal.exporter._registration", "onnx_ir._convenience"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            exported_program(student), (), dynamo=True, input_names=INPUTS, output_names=OUTPUTS,
            opset_version=OPSET, verbose=False,
            optimize=False,  # its rules take 1e-8 for zero, which norms have added
        )  # fmt: skip
    assert program is not None
    model = onnx.shape_inference.infer_shapes(program.model_proto)
    gather_edge_sums(model)
    for node in model.graph.node:  # where in our source each node comes from
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in model.graph.value_info:
        value.ClearField("metadata_props")
    card = {
        **student.card,
        "cutoff": student.config.cutoff,
        "elements": list(student.config.elements),
        "units": "eV, Å",
    }
    onnx.helper.set_model_props(model, {CARD: json.dumps(card)})
    onnx.checker.check_model(model, full_check=True)
    save_onnx(model, path)


def save_onnx(model: Any, path: str | Path) -> None:
    """Writes a model with a seal, by which ``OnnxCalculator`` knows a damaged file."""
    content = model.SerializeToString()
    with whole_file(path) as place:
        place.write_bytes(content + onnx_seal_of(content))
