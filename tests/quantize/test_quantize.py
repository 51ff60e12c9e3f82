"""Students in fewer bits: their files, and how far their answers are from the float32 ones'."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from distill import load_student
from distill.bench.systems import system
from distill.cli import app
from distill.quantize.weights import SCALE, pack, quantize_rows, unpack
from distill.student import SIZES, save_student
from distill.student.file import student_path
from distill_ase import StudentCalculator

LIMITS = {"original": 0.32, "tiny": 0.36, "ultra-tiny": 0.40}


def quantized(size: str, folder: Path, precision: str = "int8") -> Path:
    out = folder / f"{size}-{precision}.safetensors"
    arguments = ["quantize", size, "-o", str(out), "--precision", precision]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return out


@pytest.mark.parametrize("size", SIZES)
def test_size_of_int8_files(size: str, tmp_path: Path) -> None:
    ratio = quantized(size, tmp_path).stat().st_size / student_path(size).stat().st_size
    assert ratio < LIMITS[size]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("precision", "allowed"), [("int8", 0.06), ("bfloat16", 0.1), ("float16", 0.01)]
)
def test_forces_stay(size: str, precision: str, allowed: float, tmp_path: Path) -> None:
    """On a drug: a small part of what the student is off from its teacher (0.1 eV/Å)."""
    atoms = system(50)
    atoms.calc = StudentCalculator(size)
    forces, energy = atoms.get_forces(), atoms.get_potential_energy()
    atoms.calc = StudentCalculator(quantized(size, tmp_path, precision))
    assert np.sqrt(((atoms.get_forces() - forces) ** 2).mean()) < allowed
    assert abs(atoms.get_potential_energy() - energy) / len(atoms) < 0.02
    assert atoms.calc.results["uncertainty"] > 0


def test_rows() -> None:
    """Half a step at most; a row of zeros, and one too small for float16's scales."""
    x = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    x[1], x[2] = 0.0, 1e-6 * x[2]
    whole, scale = quantize_rows(x)
    assert whole.dtype == torch.int8 and whole.abs().max() <= 127
    error = (whole.float() * scale.float()[:, None] - x).abs()
    clipped = whole.abs() == 127
    assert (error <= 0.5001 * scale.float()[:, None])[~clipped].all()
    assert (error.square().sum(1).sqrt() <= 0.02 * x.square().sum(1).sqrt()).all()


def test_what_stays_as_it_is() -> None:
    tensors = load_student("ultra-tiny").state_dict()
    packed = pack(tensors, "int8")
    assert packed["reference"].dtype == torch.float64
    assert packed["painn.readout.0.bias"].dtype == torch.float32
    assert packed["painn.embedding.weight"].dtype == torch.int8
    assert "painn.embedding.weight" + SCALE in packed
    restored = unpack(packed)
    assert {k: v.dtype for k, v in restored.items()} == {k: v.dtype for k, v in tensors.items()}
    again = unpack(pack(restored, "int8"))
    for name, x in restored.items():
        torch.testing.assert_close(again[name], x, rtol=5e-3, atol=1e-6)


@pytest.mark.slow
def test_every_route_takes_it(tmp_path: Path) -> None:
    file = quantized("ultra-tiny", tmp_path)
    out = tmp_path / "x.onnx"
    result = CliRunner().invoke(app, ["export", str(file), "--format", "onnx", "-o", str(out)])
    assert result.exit_code == 0, result.output
    for kind in ("lammps", "mliap"):
        arguments = ["export", str(file), "--format", kind, "-o", str(tmp_path / kind)]
        assert CliRunner().invoke(app, arguments).exit_code == 0
    shown = CliRunner().invoke(app, ["info", str(file), "--json"])
    assert json.loads(shown.output)["precision"] == "int8"
    # saved again as it is computed with, it is a float32 file
    student = load_student(file)
    save_student(student, tmp_path / "again.safetensors")
    again = load_student(tmp_path / "again.safetensors")
    assert again.card["precision"] == "float32"
    for name, x in student.state_dict().items():
        assert torch.equal(again.state_dict()[name], x)


def test_bad_input(tmp_path: Path) -> None:
    file = quantized("ultra-tiny", tmp_path)
    runner = CliRunner()
    for arguments, sentence in (
        (["quantize", str(file), "-o", str(tmp_path / "b.safetensors")], "is in int8 already"),
        (["quantize", "tiny", "-o", str(file)], "is there already"),
        (
            ["quantize", "tiny", "-o", str(tmp_path / "b"), "--precision", "int4"],
            "use int8, float16",
        ),
        (["quantize", "nothing", "-o", str(tmp_path / "b")], "No student file at nothing"),
    ):
        result = runner.invoke(app, arguments)
        assert result.exit_code == 2
        assert sentence in " ".join(result.output.split())
    assert not (tmp_path / "b").exists() and not (tmp_path / "b.safetensors").exists()
