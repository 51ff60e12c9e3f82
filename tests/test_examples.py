"""Every example runs, at small length."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from distill.data.molecules import from_smiles
from distill.data.sampling import Sampling, sample
from distill.evaluate import LabelledFrame, evaluate
from distill.student import Student
from distill.teacher.base import TeacherSpec
from distill_openmm.md import run_md

EXAMPLES = Path(__file__).parents[1] / "examples"


def run_folder(tmp_path: Path) -> list[str]:
    """A folder such as `distill run` leaves, by a student that knows nothing."""
    out = tmp_path / "methanol"
    molecule = from_smiles("CO")
    frames = sample(molecule, Sampling(frames=4, steps_between=10))
    labels = TeacherSpec().load().label([molecule.atoms(f.positions) for f in frames])
    labelled = [
        LabelledFrame("CO", molecule.numbers, f.positions, found.energy, found.forces)
        for f, found in zip(frames, labels)
    ]
    student = Student.untrained("ultra-tiny")
    report = evaluate(student, labelled, out, progress=False)
    report["md"] = run_md(student, molecule, np.array(frames[0].positions), out, picoseconds=0.3)
    (out / "report.json").write_text(json.dumps(report))
    return [str(out), "--plot", "summary.png"]


# the arguments of a short run, and what it must leave in its folder
CASES: dict[str, tuple[Callable[[Path], list[str]], list[str]]] = {
    "01_ase_md.py": (
        lambda _: ["--student", "tiny", "--smiles", "CO", "--steps", "50", "--out", "."],
        ["trajectory.traj"],
    ),
    "02_openmm_md.py": (
        lambda _: ["--student", "tiny", "--smiles", "CO", "--steps", "200", "--out", "."],
        ["topology.pdb", "trajectory.dcd", "md.csv", "temperature.png"],
    ),
    "03_openmm_mixed.py": (
        lambda _: ["--student", "tiny", "--steps", "20", "--out", "."],
        ["topology.pdb", "trajectory.dcd"],
    ),
    "04_distill_from_ase.py": (
        lambda _: ["--smiles", "CO", "--frames", "30", "--minutes", "0.1", "--size", "ultra-tiny"],
        ["from-ase/data.h5", "from-ase/student/student.safetensors"],
    ),
    "05_read_the_report.py": (run_folder, ["summary.png"]),
    "06_liquid.py": (
        lambda _: [
            *("--size", "ultra-tiny", "--molecules", "16", "--densities", "0.5", "--frames", "20"),
            *("--rounds", "1", "--minutes", "0.1"),
        ],
        ["liquid/student.safetensors"],
    ),
    "07_ml_mm_water.py": (
        lambda _: ["--student", "ultra-tiny", "--steps", "40", "--out", "."],
        ["topology.pdb", "trajectory.dcd"],
    ),
    "08_ml_mm_sampling.py": (lambda _: ["--student", "ultra-tiny", "--steps", "300"], ["phi.csv"]),
    "09_mm_to_ml.py": (
        lambda _: ["--student", "ultra-tiny", "--steps", "400", "--windows", "2"],
        [],
    ),
    "10_torsions_and_conformers.py": (
        lambda _: ["--smiles", "CCCC", "--conformers", "2", "--out", "."],
        ["torsion.csv", "conformers.xyz"],
    ),
}


def test_every_example_is_run() -> None:
    scripts = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert scripts == sorted(CASES)
    for name in scripts:
        assert name in (EXAMPLES / "README.md").read_text()
        assert len((EXAMPLES / name).read_text().splitlines()) <= 60


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_example(name: str, tmp_path: Path) -> None:
    arguments, expected = CASES[name]
    result = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments(tmp_path)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout
    for file in expected:
        assert (tmp_path / file).stat().st_size > 0


@pytest.mark.slow
def test_replicas_in_implicit_solvent(tmp_path: Path) -> None:
    """The other half of an example."""
    options = ["--method", "replicas", "--solvent", "gbn2", "--student", "ultra-tiny"]
    result = subprocess.run(
        [sys.executable, EXAMPLES / "08_ml_mm_sampling.py", *options, "--steps", "300"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    energies = np.loadtxt(tmp_path / "phi.csv", delimiter=",", skiprows=1)
    assert energies.shape == (36, 2) and energies[:, 1].min() == 0 < energies[:, 1].max()
