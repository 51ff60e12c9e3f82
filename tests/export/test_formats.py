"""Every size in every format against the student in float64."""

import copy
import json
import multiprocessing
import pickle
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
from distill_ase import OnnxCalculator, StudentCalculator

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


def water(*numbers: int) -> list[np.ndarray]:
    """Inputs of an exported file, of three atoms and no more."""
    x = np.array([[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]], np.float32)
    edges = np.array([[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]])
    return [x, np.array(numbers), edges, np.zeros((6, 3), np.float32)]


@pytest.mark.parametrize("z", [5, 0, -1, -66, 119, 300, 2**40])
def test_an_unknown_element_is_nan(onnx_file: Path, z: int) -> None:
    """-1 is where the table of elements says 'unknown', and -66 counts back to iodine in it."""
    run = runner(onnx_file, "onnx")
    assert np.isfinite(run(*water(53, 1, 1))[0])
    energy, forces = run(*water(z, 1, 1))
    assert np.isnan(energy) and np.isnan(forces).all()
    x, numbers, edges, shift = water(z, 1, 1)
    assert np.isnan(run(x, numbers, edges[:, :0], shift[:0])[1]).all()


def test_coordinates_that_are_not_finite_are_nan(onnx_file: Path) -> None:
    """Also of an atom alone, whose energy no coordinate enters."""
    run = runner(onnx_file, "onnx")
    for value in (np.nan, np.inf):
        x, numbers, edges, shift = water(8, 1, 1)
        x[2, 1] = value
        energy, forces = run(x, numbers, edges[:, :2], shift[:2])
        assert np.isnan(energy) and np.isnan(forces).all()
    assert run(x[:0], numbers[:0], edges[:, :0], shift[:0])[0] == 0.0


def test_onnx_takes_no_other_types(onnx_file: Path) -> None:
    run = runner(onnx_file, "onnx")
    x, numbers, edges, shift = water(8, 1, 1)
    energy, _ = run(x, numbers, edges, shift)
    assert run(np.asfortranarray(x), numbers, np.ascontiguousarray(edges.T).T, shift)[0] == energy
    for wrong in (
        (x.astype(np.float64), numbers, edges, shift),
        (x, numbers.astype(np.int32), edges, shift),
        (x, numbers[:2], edges, shift),
    ):
        with pytest.raises(Exception, match="ONNXRuntimeError"):
            run(*wrong)


def test_copies_of_the_calculator(onnx_file: Path, tmp_path: Path) -> None:
    """Copied, pickled, forked and spawned, also when the file has gone."""
    from ase.build import molecule

    file = tmp_path / "gone.onnx"
    file.write_bytes(onnx_file.read_bytes())
    atoms = molecule("CH3OH")
    atoms.calc = OnnxCalculator(file, threads=2)
    file.unlink()
    atoms.get_forces()
    atoms.rattle(0.05, seed=1)
    copies = [copy.deepcopy(atoms), pickle.loads(pickle.dumps(atoms))]
    energies = [other.get_potential_energy() for other in copies]
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            energies.append(pool.apply_async(Atoms.get_potential_energy, [atoms]).get(timeout=900))
    assert energies == pytest.approx([atoms.get_potential_energy()] * 4, abs=1e-6)
    assert copies[0].calc is not atoms.calc
    copies[0].rattle(0.1, seed=2)  # a copy's neighbour list and results are its own
    copies[0].get_forces()
    assert atoms.calc.check_state(atoms) == []


def test_a_student_file_is_no_onnx_file(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="is a student file.*distill export"):
        OnnxCalculator(tmp_path / "student.safetensors")


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
        (Atoms("CO", [[1, 1, 1], [1, 1, 1]]), "Atoms 0 and 1 are 0.00 Å apart"),
        (Atoms("CHH", [[0, 0, 0], [0, 0, 1.1], [0, 0, 1.3]]), "Atoms 1 and 2 are 0.20 Å apart"),
        (Atoms("O", info={"charge": "minus"}), "'minus'; give a whole number"),
        (Atoms("O", info={"charge": 7}), "not \\+7; train one"),
    ],
)
def test_bad_systems(onnx_file: Path, atoms: Atoms, sentence: str) -> None:
    atoms.calc = OnnxCalculator(onnx_file)
    with pytest.raises(DistillError, match=sentence):
        atoms.get_potential_energy()


def test_a_turned_bit_is_a_sentence(
    onnx_file: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    """ONNX Runtime itself computes with weights that have changed."""
    content = onnx_file.read_bytes()
    onnx.checker.check_model(onnx.load_from_string(content))  # the seal is a part of the format
    path = tmp_path / "turned.onnx"
    for place in [*rng.integers(len(content), size=40), len(content) - 1, len(content) - 50]:
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with pytest.raises(DistillError, match="damaged"):
            OnnxCalculator(path)
    path.write_bytes(content[:-1000])
    with pytest.raises(DistillError):
        OnnxCalculator(path)


def test_bad_files(onnx_file: Path, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("card", ["{", "[]", '{"elements": [1]}'])
def test_a_card_that_is_none(card: str, onnx_file: Path, tmp_path: Path) -> None:
    model = onnx.load(onnx_file)
    onnx.helper.set_model_props(model, {"distill": card})
    onnx.save_model(model, str(tmp_path / "other.onnx"))
    with pytest.raises(DistillError, match="is not a student"):
        OnnxCalculator(tmp_path / "other.onnx")
