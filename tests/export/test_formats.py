"""Every size in every format against the student in float64."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from ase import Atoms
from typer.testing import CliRunner

from distill import load_student
from distill.bench.systems import system
from distill.cli import app
from distill.data.explore import first_geometries
from distill.data.molecules import read_molecules
from distill.errors import DistillError
from distill.export import FORMATS
from distill.export.onnx import OPSET
from distill.export.validate import runner, systems_for, validate
from distill.student import SIZES

ENDINGS = {"torchscript": ".pt", "onnx": ".onnx", "aoti": ".pt2"}


@pytest.fixture(scope="session")
def drugs() -> list[Atoms]:
    """Twenty of 20 to 80 atoms, one atom alone, and a periodic cell."""
    found = []
    for molecule in read_molecules("drugs:validation"):
        if 20 <= len(molecule) <= 80 and len(found) < 20:
            atoms = molecule.atoms(first_geometries(molecule, 1, 0)[0])
            atoms.rattle(0.02, seed=len(found))
            found.append(atoms)
    assert len(found) == 20
    return [*found, Atoms("C"), system(60)]


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", FORMATS)
def test_agrees_with_float64(kind: str, size: str, drugs: list[Atoms], tmp_path: Path) -> None:
    """Within 1e-5 eV/atom and 1e-4 eV/Å, which `validate` allows."""
    student = load_student(size)
    path = tmp_path / f"student{ENDINGS[kind]}"
    FORMATS[kind](student, path)
    validate(path, kind, student, drugs)


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "ultra-tiny.onnx"
    result = CliRunner().invoke(app, ["export", "ultra-tiny", "--format", "onnx", "-o", str(path)])
    assert result.exit_code == 0, result.output
    return path


def test_onnx_is_as_promised(onnx_file: Path) -> None:
    model = onnx.load(onnx_file)
    onnx.checker.check_model(model, full_check=True)
    assert [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")] == [OPSET]
    assert {o.domain for o in model.opset_import} <= {"", "ai.onnx"}
    assert [i.name for i in model.graph.input] == [
        "positions", "numbers", "edge_index", "edge_shift"
    ]  # fmt: skip
    assert [o.name for o in model.graph.output] == ["energy", "forces"]
    card = json.loads({p.key: p.value for p in model.metadata_props}["distill"])
    assert card["cutoff"] == 5.0 and card["teacher"]["name"] == "gfn2-xtb"


def test_a_wrong_file_is_refused(onnx_file: Path, tmp_path: Path) -> None:
    """Weights that differ a little from the student's."""
    model = onnx.load(onnx_file)
    for initializer in model.graph.initializer:
        values = onnx.numpy_helper.to_array(initializer)
        if values.dtype == np.float32 and values.size > 100:
            changed = onnx.numpy_helper.from_array(values * np.float32(1.01), initializer.name)
            initializer.CopyFrom(changed)
            break
    onnx.save(model, tmp_path / "wrong.onnx")
    student = load_student("ultra-tiny")
    with pytest.raises(DistillError, match="The onnx file is wrong: on C2H5NO it is off by"):
        validate(tmp_path / "wrong.onnx", "onnx", student, systems_for(student))


def test_nothing_is_left_of_a_wrong_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distill.export import validate as module

    monkeypatch.setattr(module, "PER_FORCE", 1e-12)
    out = tmp_path / "x.pt"
    out.write_text("mine")
    result = CliRunner().invoke(app, ["export", "ultra-tiny", "-o", str(out), "--force"])
    assert isinstance(result.exception, (DistillError, SystemExit)) and result.exit_code != 0
    assert [p.name for p in tmp_path.iterdir()] == ["x.pt"]
    assert out.read_text() == "mine"
    arguments = ["export", "ultra-tiny", "-o", str(out), "--force", "--no-validate"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert runner(out, "torchscript")


NO_TORCH = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "rdkit", "lightning"):
            raise ImportError(f"{name} is not there")

sys.meta_path.insert(0, Refuse())
import numpy as np
from ase.build import molecule
from ase.calculators.fd import calculate_numerical_forces
from distill_ase import OnnxCalculator

atoms = molecule("CH3CONH2")
atoms.rattle(0.05, seed=1)
atoms.calc = OnnxCalculator(sys.argv[1])
forces = atoms.get_forces()
by_differences = calculate_numerical_forces(atoms, eps=0.01, iatoms=[0])
assert np.abs(forces[0] - by_differences).max() < 0.05, (forces[0], by_differences)
assert "torch" not in sys.modules
print(repr(atoms.get_potential_energy()))
"""


def test_calculator_without_torch(onnx_file: Path) -> None:
    from ase.build import molecule

    from distill_ase import StudentCalculator

    done = subprocess.run(
        [sys.executable, "-c", NO_TORCH, onnx_file], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    atoms = molecule("CH3CONH2")
    atoms.rattle(0.05, seed=1)
    atoms.calc = StudentCalculator("ultra-tiny", dtype="float64")
    assert float(done.stdout) == pytest.approx(atoms.get_potential_energy(), abs=1e-5 * len(atoms))


def test_calculator_in_md(onnx_file: Path, rng: np.random.Generator) -> None:
    """Its neighbour list, with and without periodicity, and atoms that change."""
    from distill_ase import OnnxCalculator, StudentCalculator

    calculator = OnnxCalculator(onnx_file)
    for atoms in (system(20), system(60), Atoms("O"), system(20)):
        exact = StudentCalculator("ultra-tiny", dtype="float64")
        for _ in range(5):
            atoms.positions += rng.normal(scale=0.02, size=atoms.positions.shape)
            atoms.calc = calculator
            forces = atoms.get_forces()
            atoms.calc = exact
            np.testing.assert_allclose(forces, atoms.get_forces(), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("atoms", "sentence"),
    [
        (Atoms(), "no atoms"),
        (Atoms("CHe", [[0, 0, 0], [0, 0, 2]]), "does not know He; it knows Br C Cl"),
        (Atoms("CH", [[0, 0, 0], [0, float("nan"), 1]]), "Atom 1 has a coordinate that is NaN"),
    ],
)
def test_bad_systems(onnx_file: Path, atoms: Atoms, sentence: str) -> None:
    from distill_ase import OnnxCalculator

    atoms.calc = OnnxCalculator(onnx_file)
    with pytest.raises(DistillError, match=sentence):
        atoms.get_potential_energy()


def test_bad_files(onnx_file: Path, tmp_path: Path) -> None:
    from distill_ase import OnnxCalculator

    with pytest.raises(DistillError, match="There is no file .*nothing.onnx; write one"):
        OnnxCalculator(tmp_path / "nothing.onnx")
    (tmp_path / "half.onnx").write_bytes(onnx_file.read_bytes()[:1000])
    with pytest.raises(DistillError, match="cannot be loaded by ONNX Runtime"):
        OnnxCalculator(tmp_path / "half.onnx")
    model = onnx.load(onnx_file)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(DistillError, match="is not a student"):
        OnnxCalculator(tmp_path / "other.onnx")
    model.opset_import[0].version = 99
    onnx.save(model, tmp_path / "future.onnx")
    with pytest.raises(DistillError, match="use a newer onnxruntime"):
        OnnxCalculator(tmp_path / "future.onnx")
    with pytest.raises(DistillError, match="has no NpuExecutionProvider; it has"):
        OnnxCalculator(onnx_file, providers=["NpuExecutionProvider"])
