"""AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer find nothing in the kernel."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from distill.kernels.weights import describe, flat_parameters
from distill.student import Student
from distill.student.neighbours import neighbour_list

from .conftest import liquid

SOURCES = Path(__file__).parents[2] / "distill" / "kernels" / "csrc"
pytestmark = pytest.mark.slow


@pytest.fixture
def problem(tiny: Student, rng: np.random.Generator, tmp_path: Path) -> Path:
    """A student, a liquid, and the liquid's molecules one by one, in the order of sanitized.cpp."""
    atoms = liquid(rng, side=4)
    sizes = np.array([6 if k % 2 else 3 for k in range(64)])
    first = np.concatenate([[0], np.cumsum(sizes)])
    edges, counts = [], [0]
    for a, b in zip(first, first[1:]):
        index, _ = neighbour_list(atoms.positions[a:b], None, False, tiny.cutoff)
        index = index[:, index[0] < index[1]]
        edges.append(index + a)
        counts.append(counts[-1] + index.shape[1])
    centre, neighbour = np.concatenate(edges, axis=1).astype(np.int32)
    arrays = [
        describe(tiny, 192), flat_parameters(tiny, "float32"), atoms.numbers.astype(np.int64),
        atoms.positions.ravel(), atoms.cell.array.ravel(), first.astype(np.int64),
        np.array(counts, dtype=np.int64), centre, neighbour,
    ]  # fmt: skip
    path = tmp_path / "problem.bin"
    with path.open("wb") as file:
        for array in arrays:
            file.write(np.int64(array.size).tobytes() + np.ascontiguousarray(array).tobytes())
    return path


@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_clean(problem: Path, tmp_path: Path, sanitizer: str) -> None:
    program = tmp_path / "sanitized"
    names = ("api.cpp", "neighbours.cpp", "isa_baseline.cpp")
    subprocess.run(
        [
            os.environ.get("CXX", "g++"), "-std=c++17", "-O1", "-g", "-fno-omit-frame-pointer",
            f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all", "-DDISTILL_BASELINE_ONLY",
            "-Wno-psabi", "-pthread", str(Path(__file__).with_name("sanitized.cpp")),
            *(str(SOURCES / name) for name in names), "-o", str(program),
        ],
        check=True,
    )  # fmt: skip
    found = subprocess.run(
        [str(program), str(problem)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout == "done\n" and not found.stderr
