"""The compiled library: that a wheel carries it, and what happens where it is not there."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule

from distill import kernels
from distill.errors import DistillError
from distill.kernels import library
from distill.train.step import use_kernel
from distill_ase import StudentCalculator

ROOT = Path(__file__).parents[2]


def test_it_is_there() -> None:
    """`make test` has compiled it: all the other tests mean the kernel."""
    assert kernels.available() and not kernels.why_not()
    assert StudentCalculator("tiny").backend == "kernel"


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """No library, as after an installation without a compiler."""
    monkeypatch.setattr(library, "FILE", tmp_path / "libdistill.so")
    for cached in (library._loaded, library.warn_once):
        cached.cache_clear()
    yield tmp_path / "libdistill.so"
    monkeypatch.undo()
    for cached in (library._loaded, library.warn_once):
        cached.cache_clear()


def test_without_it_torch_runs_and_says_so_once(missing: Path) -> None:
    atoms = molecule("CH3OH")
    with pytest.warns(UserWarning, match="not compiled when mlff-distiller was installed") as seen:
        atoms.calc = StudentCalculator("tiny")
        StudentCalculator("tiny")
    assert len(seen) == 1 and atoms.calc.backend == "torch"
    assert np.isfinite(atoms.get_forces()).all()
    assert not use_kernel("auto")


def test_without_it_asking_for_it_is_an_error(missing: Path) -> None:
    with pytest.raises(DistillError, match=r"C\+\+ compiler .* or use backend='torch'"):
        StudentCalculator("tiny", backend="kernel")
    with pytest.raises(DistillError, match="no kernel to train with"):
        use_kernel("kernel")


def test_a_broken_library(missing: Path) -> None:
    missing.write_bytes(b"not a library")
    with pytest.raises(DistillError, match="cannot be loaded .* install mlff-distiller again"):
        StudentCalculator("tiny", backend="kernel")


def test_training_elsewhere_than_on_the_cpu() -> None:
    assert not use_kernel("auto", "gpu")
    with pytest.raises(DistillError, match="trains on CPUs"):
        use_kernel("kernel", "gpu")


@pytest.mark.slow
def test_a_wheel_brings_it_compiled_for_every_python(tmp_path: Path) -> None:
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    for name in filter(None, names):
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "source" / name)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
         "-w", str(tmp_path), str(tmp_path / "source")],
        check=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    assert "-py3-none-linux" in wheel.name or sys.platform != "linux"
    held = zipfile.ZipFile(wheel).namelist()
    assert any(name.startswith("distill/kernels/libdistill.") for name in held)
    assert "distill/pretrained/tiny.safetensors" in held
