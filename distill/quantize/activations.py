"""Weights and activations in INT8, by ONNX Runtime's static post-training quantization.

The result is an ONNX file. In INT8 are the dense layers of the forward pass, whose activations
have ranges that calibration finds. In float32 stay the filters of the distance (a step in the
radial basis is a jump in the energy), geometry, products and sums over edges, the last layer of the
readout (meV of hundreds of eV), and the whole backward pass: it takes the rounding for the
identity, so that a force is the slope of the staircase's ramp, not of its steps. The energy still
has steps: forces are its derivative only on average, and NVE drifts.
"""

import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill.errors import DistillError
from distill.evaluate.frames import LabelledFrame
from distill.evaluate.predict import predict
from distill.export.onnx import CARD, export_onnx, save_onnx
from distill.export.validate import runner
from distill.student.neighbours import INPUTS, exported_inputs, neighbour_list
from distill.student.student import Student
from distill.whole import whole_file

FORCE_TOLERANCE = 0.15
"""eV/Å, RMSE to the float32 student on the calibration's geometries; beyond it no file is left."""
MOST_FRAMES = 200
"""Of the calibration: ONNX Runtime keeps what every layer says to each."""
PRODUCTS = ("MatMul", "Gemm")


def quantize_activations(student: Student, frames: Sequence[LabelledFrame], path: Path) -> float:
    """Writes an ONNX file like ``export_onnx``'s; returns its force RMSE to the student in eV/Å.

    Raises DistillError where onnxruntime's quantizer is missing, and for a file that is off by more
    than FORCE_TOLERANCE.
    """
    try:
        import onnx
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType
        from onnxruntime.quantization import quantize_static as run_quantizer
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise DistillError(
            f"INT8 activations need {error.name}: pip install 'mlff-distiller[onnx]'."
        ) from error
    logging.getLogger().addFilter(_quiet)
    chosen = spread(frames, MOST_FRAMES)
    inputs = [inputs_of(frame, student.cutoff) for frame in chosen]
    with whole_file(path) as place, tempfile.TemporaryDirectory() as folder:
        plain, folded = Path(folder) / "plain.onnx", Path(folder) / "folded.onnx"
        export_onnx(student, plain)
        quant_pre_process(str(plain), str(folded), skip_symbolic_shape=True)
        run_quantizer(
            str(folded), str(place), _Reader(inputs), quant_format=QuantFormat.QDQ,
            nodes_to_quantize=dense_layers(onnx.load(folded)),
            per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            # weights of seven bits: where a CPU has no VNNI, sums of products of eight saturate
            reduce_range=True, calibrate_method=CalibrationMethod.MinMax,
        )  # fmt: skip
        model = onnx.load(place)
        properties = {p.key: p.value for p in onnx.load(plain).metadata_props}
        card = {**json.loads(properties[CARD]), "precision": "int8 weights and activations"}
        onnx.helper.set_model_props(model, {CARD: json.dumps(card)})
        onnx.checker.check_model(model, full_check=True)
        save_onnx(model, place)
        off = force_rmse(student, chosen, inputs, place)
        if not off < FORCE_TOLERANCE:
            raise DistillError(
                f"With INT8 activations the forces are off by {off:.3f} eV/Å (RMSE; allowed: "
                f"{FORCE_TOLERANCE}); nothing was written. Leave out --calibrate: INT8 weights "
                "alone cost next to nothing."
            )
    return off


class _Reader:
    """What ONNX Runtime asks for the next input."""

    def __init__(self, inputs: Sequence[dict[str, Any]]):
        self.rest: Iterator[dict[str, Any]] = iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        return next(self.rest, None)


def dense_layers(model: Any) -> list[str]:
    """Names of the nodes to quantize: the forward pass' products with a matrix of weights, but for
    the filters and the last of the readout."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    found = []
    for node in nodes_behind(model, "energy"):
        if node.op_type not in PRODUCTS or node.input[1] not in shapes:
            continue
        behind = {other.op_type for other in nodes_behind(model, node.input[0])}
        is_filter = "Sin" in behind and not behind & set(PRODUCTS)  # of the radial basis
        if not is_filter and 1 not in shapes[node.input[1]]:
            found.append(node.name)
    return found


def nodes_behind(model: Any, output: str) -> list[Any]:
    """The nodes that an output depends on."""
    maker = {name: node for node in model.graph.node for name in node.output}
    found: dict[str, Any] = {}
    waiting = [output]
    while waiting:
        node = maker.get(waiting.pop())
        if node is not None and node.output[0] not in found:
            found[node.output[0]] = node
            waiting += node.input
    return list(found.values())


def spread(frames: Sequence[LabelledFrame], count: int) -> list[LabelledFrame]:
    """``count`` of them at most: one of each element that occurs, and then evenly."""
    first: dict[int, int] = {}
    for k, frame in enumerate(frames):
        for z in np.unique(frame.numbers).tolist():
            first.setdefault(z, k)
    rest = np.linspace(0, len(frames) - 1, min(count, len(frames))).astype(int).tolist()
    return [frames[k] for k in dict.fromkeys([*first.values(), *rest])][:count]


def inputs_of(frame: LabelledFrame, cutoff: float) -> dict[str, Any]:
    """The exported graph's arguments."""
    cell = None if frame.cell is None else np.asarray(frame.cell)
    edges = neighbour_list(frame.positions, cell, frame.pbc, cutoff)
    return dict(zip(INPUTS, exported_inputs(frame.positions, frame.numbers, edges, cutoff)))


def force_rmse(
    student: Student, frames: Sequence[LabelledFrame], inputs: Sequence[dict[str, Any]], file: Path
) -> float:
    """eV/Å, of a file to the student."""
    run = runner(file, "onnx")
    right = predict(student, frames, progress=False).forces_pred
    found = np.concatenate([run(*those.values())[1] for those in inputs])
    return float(np.sqrt(((found - right) ** 2).mean()))


def _quiet(record: logging.LogRecord) -> bool:
    """The quantizer's advice to run the preprocessing that was run."""
    return "pre-processing" not in record.getMessage()
