"""The length of a vector has no cusp where the vector vanishes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from safetensors import safe_open
from safetensors.torch import save_file

from distill.errors import DistillError
from distill.kernels import KernelStudent
from distill.kernels.library import call, pointer
from distill.kernels.weights import describe
from distill.student import SIZES, Student, load_student, save_student
from distill.student.config import HARD, SOFT, StudentConfig
from distill.student.file import FORMAT_VERSION
from distill.student.painn import Update
from distill_ase import StudentCalculator


@pytest.mark.parametrize("size", SIZES)
def test_the_force_constant_at_a_symmetric_geometry_is_one_number(size: str) -> None:
    """Methane's carbon: with the cusp it was -2000 to 400 eV/Å² by moves of 0.0001 Å, and 50 by
    moves of 0.01 Å."""
    found = []
    for move in (1e-4, 1e-3, 3e-3):
        forces = []
        for sign in (1.0, -1.0):
            atoms = molecule("CH4")
            atoms.positions[0, 0] += sign * move
            atoms.calc = StudentCalculator(size, dtype="float64")
            forces.append(atoms.get_forces()[0, 0])
        found.append((forces[1] - forces[0]) / (2.0 * move))
    assert found == pytest.approx([found[-1]] * 3, rel=0.05)
    assert 30.0 < found[-1] < 80.0  # GFN2-xTB: 48


def test_a_vector_that_vanishes_has_a_smooth_length() -> None:
    update = Update(16, True, SOFT).double()
    s, v = torch.zeros(1, 16).double(), torch.zeros(1, 3, 16).double()
    along = torch.randn(1, 3, 16, generator=torch.Generator().manual_seed(0)).double()

    def total(step: float) -> float:
        out, vectors = update(s, v + step * along)
        return float(out.detach().sum())

    second = [(total(h) - 2 * total(0.0) + total(-h)) / h**2 for h in (1e-4, 1e-3)]
    assert second[0] == pytest.approx(second[1], rel=1e-2)


def test_a_file_of_an_earlier_format_keeps_its_cusp(tmp_path: Path) -> None:
    """What it answers must not change."""
    student = load_student("scout-ultra-tiny")
    assert student.config.softening == HARD
    save_student(Student(StudentConfig("x", 16, 2, softening=SOFT)), tmp_path / "new.safetensors")
    with safe_open(tmp_path / "new.safetensors", framework="pt") as opened:
        header = json.loads(opened.metadata()["distill"])
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}
    assert header["format_version"] == FORMAT_VERSION
    assert load_student(tmp_path / "new.safetensors").config.softening == SOFT
    header.pop("sha256")
    for version in (1, 2):
        header["format_version"] = version
        header["architecture"].pop("softening", None)
        save_file(tensors, tmp_path / "old.safetensors", metadata={"distill": json.dumps(header)})
        assert load_student(tmp_path / "old.safetensors").config.softening == HARD


def test_the_kernel_takes_either_and_a_description_without_one() -> None:
    water = Atoms("OH2", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    hard, soft = (Student(StudentConfig("x", 32, 2, softening=x)) for x in (HARD, 0.3))
    soft.load_state_dict(hard.state_dict())
    energies = {}
    for student in (hard, soft):
        edges = torch.tensor([[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]])
        exact, _ = student.double()(
            torch.tensor(water.positions), torch.tensor(water.numbers), edges, torch.zeros(6, 3)
        )
        kernel = KernelStudent(student, dtype="float64").evaluate(water.positions, water.numbers)
        energies[student.config.softening] = float(exact)
        assert kernel.energies.sum() == pytest.approx(float(exact), abs=1e-6)
    assert abs(energies[HARD] - energies[0.3]) > 1e-4
    meta = describe(hard, 192)
    assert meta[6] == HARD
    counts = np.zeros((2, 2), dtype=np.int64)
    for row, description in zip(counts, (meta, np.delete(meta, 6))):
        call(
            "distill_sizes", pointer(description), len(description), pointer(row[:1]),
            pointer(row[1:]),
        )  # fmt: skip
    assert (counts[0] == counts[1]).all()


@pytest.mark.parametrize("softening", [0.0, -1.0, float("nan"), float("inf")])
def test_nonsense_is_refused(softening: float) -> None:
    with pytest.raises(DistillError, match="softening"):
        StudentConfig("x", 16, 2, softening=softening)
