"""ONNX: energy and forces in one graph, for ONNX Runtime and others; no torch is needed there."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.errors import DistillError
from distill.export.program import INPUTS, OUTPUTS, exported_program
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
    add_in_turn(model)
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
    with whole_file(path) as place:
        onnx.save_model(model, str(place))


def add_in_turn(model: Any) -> None:
    """Replaces the sums over edges, which the exporter writes as ScatterND, by ScatterElements.

    ONNX Runtime (1.32) adds the rows of a ScatterND on several threads at once, and loses some
    where rows meet: forces are off by 0.1 eV/Å, in each call by another amount.
    """
    import onnx

    graph = model.graph
    values = [*graph.value_info, *graph.input, *graph.output]
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in values}
    ranks |= {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type != "ScatterND":
            nodes.append(node)
            continue
        assert [a.s for a in node.attribute if a.name == "reduction"] == [b"add"]
        data, indices, updates = node.input
        name = node.name or node.output[0]
        # indices (E, 1) of rows, as the indices of all elements
        shape = np.array([-1] + [1] * (ranks[data] - 1), dtype=np.int64)
        graph.initializer.append(onnx.numpy_helper.from_array(shape, f"{name}_column"))
        make = onnx.helper.make_node
        nodes += [
            make("Reshape", [indices, f"{name}_column"], [f"{name}_rows"]),
            make("Shape", [updates], [f"{name}_shape"]),
            make("Expand", [f"{name}_rows", f"{name}_shape"], [f"{name}_elements"]),
            make(
                "ScatterElements", [data, f"{name}_elements", updates], list(node.output),
                name=node.name, axis=0, reduction="add",
            ),
        ]  # fmt: skip
    del graph.node[:]
    graph.node.extend(nodes)
