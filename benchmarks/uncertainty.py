"""Does a student know where it is wrong? On frames that it was not trained on.

    python benchmarks/uncertainty.py build/students/test.h5 -o build/students/uncertainty.json

For each student: Spearman's rank correlation of the expected and the actual force error, frame by
frame; the median of their ratio; frames called strange; and how many of the molecules, smashed to
0.6 and 0.75 of their size, are called strange.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from distill import load_student
from distill.evaluate import read_frames
from distill.evaluate.frames import LabelledFrame
from distill.evaluate.report import provenance
from distill.kernels import KernelStudent
from distill.student import SIZES
from distill.student.latent import rms


def judge(name: str, frames: list[LabelledFrame]) -> dict[str, Any]:
    """All figures of one student."""
    student = load_student(name)
    latent, kernel = student.latent, KernelStudent(student)
    assert latent is not None, f"{name} has no uncertainty"
    expected, actual, strange = [], [], 0
    for frame in frames:
        answer = kernel.evaluate(frame.positions, frame.numbers)
        expected.append(rms(latent.errors(answer.distances)))
        actual.append(rms(np.linalg.norm(answer.forces - frame.forces, axis=1)))
        strange += bool(len(latent.strange(answer.distances)))
    first = {frame.name: frame for frame in reversed(frames)}.values()
    flagged = {}
    for size in (0.6, 0.75):
        answers = [kernel.evaluate(size * f.positions, f.numbers) for f in first]
        count = sum(bool(len(latent.strange(a.distances))) for a in answers)
        flagged[f"smashed to {size:g}"] = f"{count} of {len(first)}"
    return {
        "frames": len(frames),
        "spearman": float(spearmanr(expected, actual).statistic),
        "expected over actual, median": float(np.median(np.array(expected) / np.array(actual))),
        "called strange": f"{strange} of {len(frames)}",
        **flagged,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="+", help="labelled frames")
    parser.add_argument("--students", nargs="+", default=[*SIZES], help="names or files")
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    frames = [frame for file in arguments.data for frame in read_frames(file)]
    result = {name: judge(name, frames) for name in arguments.students}
    arguments.out.write_text(json.dumps({"students": result, **provenance()}, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
