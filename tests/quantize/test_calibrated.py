"""Quantization that looks at geometries: fine-tuned weights, and INT8 activations."""

import json
from pathlib import Path

import ase.io
import numpy as np
import onnx
import pytest
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator
from typer.testing import CliRunner

from distill import load_student
from distill.cli import app
from distill.quantize.weights import SCALE
from distill.student.file import read_header
from distill_ase import OnnxCalculator, StudentCalculator


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 2, result.output
    return " ".join(result.output.split())


def off(calculator: Calculator, geometries: list[Atoms]) -> float:
    """Force RMSE to the float32 student, eV/Å."""
    right = StudentCalculator("ultra-tiny")
    differences = []
    for atoms in geometries:
        atoms = atoms.copy()
        differences.append(calculator.get_forces(atoms) - right.get_forces(atoms))
    return float(np.sqrt((np.concatenate(differences) ** 2).mean()))


@pytest.mark.slow
def test_fine_tuning_halves_the_rounding(
    geometries: Path, others: list[Atoms], tmp_path: Path
) -> None:
    plain, tuned = tmp_path / "plain.safetensors", tmp_path / "tuned.safetensors"
    run("quantize", "ultra-tiny", "-o", plain)
    run("quantize", "ultra-tiny", "-o", tuned, "--fine-tune", geometries, "--steps", 300)
    assert off(StudentCalculator(tuned), others) < 0.6 * off(StudentCalculator(plain), others)
    assert abs(tuned.stat().st_size - plain.stat().st_size) < 500
    student = load_student(tuned)
    assert student.card["precision"] == "int8"
    assert student.card["fine_tuned"] == {"geometries": 24, "steps": 300}
    # biases are not rounded; matrices are whole numbers times a scale
    _, unpacked = read_header(tuned)
    assert unpacked["painn.readout.0.bias"].dtype == torch.float32
    from safetensors import safe_open

    with safe_open(str(tuned), framework="pt") as file:
        name = "painn.messages.1.phi.0.weight"
        whole, scale = file.get_tensor(name), file.get_tensor(name + SCALE)
    assert whole.dtype == torch.int8
    assert torch.equal(student.state_dict()[name], whole.float() * scale.float()[:, None])


@pytest.mark.slow
def test_int8_activations(geometries: Path, others: list[Atoms], tmp_path: Path) -> None:
    out = tmp_path / "ultra-tiny.onnx"
    said = run("quantize", "ultra-tiny", "-o", out, "--calibrate", geometries)
    calculator = OnnxCalculator(out)
    assert calculator.card["precision"] == "int8 weights and activations"
    # far worse than INT8 weights alone (0.015), but still a force
    assert 0.001 < off(calculator, others) < 0.1, said
    model = onnx.load(out)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("QuantizeLinear") > 5
    # two phi of two layers, two mix, two a of two layers, one readout; not filters, not the last
    whole = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8]
    assert len([t for t in whole if len(t.dims) == 2]) == 11


def test_what_is_refused(geometries: Path, tmp_path: Path) -> None:
    out, graph = tmp_path / "a.safetensors", tmp_path / "a.onnx"
    quantize = ("quantize", "ultra-tiny", "-o")
    few = tmp_path / "few.xyz"
    ase.io.write(few, [a for a in ase.io.read(geometries, ":") if 35 not in a.numbers])
    strange = tmp_path / "strange.xyz"
    atoms = ase.io.read(geometries, "0")
    atoms.numbers[0] = 78
    ase.io.write(strange, atoms)
    for option in ("--fine-tune", "--calibrate"):
        place = graph if option == "--calibrate" else out
        assert "has no Br, I" in refused(*quantize, place, option, few)
        assert "Pt" in refused(*quantize, place, option, strange)
        assert "There is no file" in refused(*quantize, place, option, tmp_path / "none.h5")
    sentence = "are for --precision int8"
    assert sentence in refused(*quantize, out, "--precision", "float16", "--fine-tune", geometries)
    assert "not both" in refused(*quantize, out, "--fine-tune", few, "--calibrate", few)
    assert "name it .onnx" in refused(*quantize, out, "--calibrate", geometries)
    assert "name it .safetensors" in refused(*quantize, graph)
    assert not out.exists() and not graph.exists()
    assert json.loads(run("info", "ultra-tiny", "--json"))
