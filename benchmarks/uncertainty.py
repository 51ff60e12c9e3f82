"""Does a student know where it is wrong? On frames that it was not trained on.

    python benchmarks/uncertainty.py build/students/test.h5 -o build/students/uncertainty.json

For each student: Spearman's rank correlation of the expected and the actual force error, frame by
frame; the median of their ratio; frames called strange; and how many of the molecules, smashed to
0.6 and 0.75 of their size, are called strange. And of the second opinion of `distill check`,
molecule by molecule: its rank correlation with the error, how many molecules are wrong by more than
WRONG, and of how many of these, and of how many others, the opinion is doubt. The threshold for
doubt was chosen on validation.h5 of the recipe and

    distill label chembl:validation:60 -o c.h5 --frames 4 --temperatures 300,500 --md scout
    distill label ionized:validation -o i.h5 --frames 5 --temperatures 300,500
    distill label recombined:validation:400 -o r.h5 --frames 2 --temperatures 300,500
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from distill import load_student
from distill.evaluate import read_frames
from distill.evaluate.frames import LabelledFrame
from distill.evaluate.report import provenance
from distill.evaluate.second_opinion import DOUBTFUL, second_for
from distill.kernels import KernelStudent
from distill.student import SIZES
from distill.student.latent import rms

WRONG = 0.25


def judge(name: str, frames: list[LabelledFrame]) -> dict[str, Any]:
    """All figures of one student."""
    student, other = load_student(name), KernelStudent(load_student(second_for(name)))
    latent, kernel = student.latent, KernelStudent(student)
    assert latent is not None, f"{name} has no uncertainty"
    expected, actual, strange = [], [], 0
    errors, differences = defaultdict(list), defaultdict(list)
    for frame in frames:
        answer = kernel.evaluate(frame.positions, frame.numbers)
        error = answer.forces - frame.forces
        expected.append(rms(latent.errors(answer.distances)))
        actual.append(rms(np.linalg.norm(error, axis=1)))
        strange += bool(len(latent.strange(answer.distances)))
        second = other.evaluate(frame.positions, frame.numbers).forces
        errors[frame.name].append(error)
        differences[frame.name].append(answer.forces - second)
    wrongness, difference = (
        np.array([np.sqrt(np.mean(np.square(x))) for x in found.values()])
        for found in (errors, differences)
    )
    wrong, doubt = wrongness > WRONG, difference > DOUBTFUL
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
        "check: spearman": float(spearmanr(difference, wrongness).statistic),
        "check: error over difference, median": float(np.median(wrongness / difference)),
        f"wrong by more than {WRONG:g} eV/Å": f"{wrong.sum()} of {len(errors)}",
        "of these doubted": f"{(wrong & doubt).sum()}",
        "others doubted": f"{(doubt & ~wrong).sum()}",
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
