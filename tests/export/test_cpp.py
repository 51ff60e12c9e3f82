"""The C++ example, built and run as docs/engines.md says."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import molecule

from distill import load_student
from distill.export import export_aoti
from distill_ase import StudentCalculator

EXAMPLE = Path(__file__).parents[2] / "examples" / "cpp"


def check_inputs(package: Path) -> None:
    """What a package does with inputs that it was not compiled for: NaN or an error."""
    model = torch._inductor.aoti_load_package(str(package))
    x = torch.tensor([[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]])
    edges, shift = torch.tensor([[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]]), torch.zeros((6, 3))
    z = torch.tensor([8, 1, 1])
    assert model(x, z, edges, shift)[0].isfinite()
    for unknown in (5, 0, -1, -66, 119, 2**40):
        energy, forces = model(x, torch.tensor([unknown, 1, 1]), edges, shift)
        assert energy.isnan() and forces.isnan().all()
    none = edges[:, :0]
    assert model(x, torch.tensor([5, 1, 1]), none, shift[:0])[1].isnan().all()
    for wrong in (
        (x.double(), z, edges, shift),
        (x, z.int(), edges, shift),
        (x, z, edges.T.contiguous().T, shift),
        (x.T.contiguous().T, z, edges, shift),
        (x, z[:2], edges, shift),
        (x, z, edges[:, :5].contiguous(), shift),
    ):
        with pytest.raises(RuntimeError):
            model(*wrong)


@pytest.mark.slow
def test_example(tmp_path: Path) -> None:
    for name in ("energy.cpp", "Makefile"):
        shutil.copy(EXAMPLE / name, tmp_path)
    assert len((tmp_path / "energy.cpp").read_text().splitlines()) <= 60
    made = subprocess.run(
        ["make", f"PYTHON={sys.executable}"], cwd=tmp_path, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    export_aoti(load_student("ultra-tiny"), tmp_path / "student.pt2")
    atoms = molecule("CH3CONH2")
    atoms.write(tmp_path / "molecule.xyz")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [tmp_path / "energy", *arguments], cwd=tmp_path, capture_output=True, text=True
        )

    done = run("student.pt2", "molecule.xyz")
    assert done.returncode == 0, done.stderr
    first, _, *rows = done.stdout.splitlines()
    found = np.array([[float(x) for x in row.split()] for row in rows])
    atoms.calc = StudentCalculator("ultra-tiny", dtype="float64")
    assert float(first.split()[1]) == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
    assert found[:, 0].astype(int).tolist() == atoms.numbers.tolist()
    np.testing.assert_allclose(found[:, 1:], atoms.get_forces(), rtol=0, atol=1e-4)
    check_inputs(tmp_path / "student.pt2")
    for arguments, sentence in (
        (("molecule.xyz", "molecule.xyz"), "central directory"),
        (("student.pt2", "energy.cpp"), "is not an XYZ file"),
        ((), "usage"),
    ):
        failed = run(*arguments)
        assert failed.returncode != 0
        assert sentence in failed.stderr and "frame #" not in failed.stderr
