"""The C++ example, built and run as the README says."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule

from distill import load_student
from distill.export import export_aoti
from distill_ase import StudentCalculator

EXAMPLE = Path(__file__).parents[2] / "examples" / "cpp"


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
    for arguments, sentence in (
        (("molecule.xyz", "molecule.xyz"), "central directory"),
        (("student.pt2", "energy.cpp"), "is not an XYZ file"),
        ((), "usage"),
    ):
        failed = run(*arguments)
        assert failed.returncode != 0
        assert sentence in failed.stderr and "frame #" not in failed.stderr
