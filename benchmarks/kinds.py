"""On which kinds of molecules is a student right?

    python benchmarks/kinds.py FOLDER -o docs/kinds.md [--students original tiny]

Of each set of molecules the first MOLECULES of the validation part, whose scaffolds no student was
trained on: two geometries each, labelled into FOLDER where they are not there yet.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from distill import load_student
from distill.data.sampling import Sampling
from distill.evaluate import compute_metrics, predict, read_frames
from distill.evaluate.frames import LabelledFrame
from distill.evaluate.report import provenance
from distill.pretrained.make import make_data
from distill.pretrained.recipe import WILDEST_FORCE, Part
from distill.student import SIZES

KINDS = {
    "drugs": "approved drugs",
    "chembl": "others of medicinal chemistry",
    "analogues": "drugs with 1 to 3 changes",
    "recombined": "pieces of drugs, put together anew",
    "fragments": "pieces of drugs",
    "dipeptides": "capped dipeptides",
    "small": "solvents, pesticides, dyes",
    "ionized": "ions of fragments",
    "mutated": "fragments with 1 to 3 changes",
    "rigid": "rigid fragments of molecules in crystals",
    "exotic": "these with 1 to 3 changes",
}
MOLECULES = 150
TWO = Sampling(
    frames=2, md="scout", temperatures=(300.0, 500.0), conformers=1, displaced=0.0, seed=6
)
WRONG = 0.25
"""eV/Å: a molecule whose forces are wrong by more than this is counted."""


def judge(name: str, frames: list[LabelledFrame]) -> dict[str, Any]:
    """Force errors of one student on one set, in eV/Å."""
    metrics = compute_metrics(predict(load_student(name), frames, progress=False))
    molecules = np.array([molecule["rmse"] for molecule in metrics["per_molecule"].values()])
    return {
        "molecules": len(molecules),
        "rmse": metrics["force_rmse"],
        "median": float(np.median(molecules)),
        "wrong": int((molecules > WRONG).sum()),
    }


def markdown(result: dict[str, Any]) -> str:
    """The table, and what it is of."""
    students = result["students"]
    lines = [
        "# On which kinds of molecules is a student right?",
        "",
        f"`benchmarks/kinds.py`: the first {MOLECULES} molecules of each set's validation part,"
        " two geometries each, at 300 and 500 K, without those that have a force above"
        f" {WILDEST_FORCE:g} eV/Å. RMSE of a force component over all atoms / its median over"
        f" molecules, both in eV/Å / molecules wrong by more than {WRONG} eV/Å."
        f" {result['date']}, torch {result['versions']['torch']}.",
        "",
        "| set | molecules | " + " | ".join(f"`{name}`" for name in students) + " |",
        "|---|---:|" + "---:|" * len(students),
    ]
    for kind, what in KINDS.items():
        of_kind = [of[kind] for of in students.values()]
        cells = [f"{f['rmse']:.3f} / {f['median']:.3f} / {f['wrong']}" for f in of_kind]
        lines.append(f"| `{kind}`: {what} | {of_kind[0]['molecules']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True, help=".md; a .json beside it")
    parser.add_argument("--students", nargs="+", default=list(SIZES), help="names or files")
    parser.add_argument("--workers", type=int)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    parts = [Part(f"{kind}-two", f"{kind}:validation:{MOLECULES}", TWO) for kind in KINDS]
    files = make_data(arguments.folder, parts, workers=arguments.workers)
    students: dict[str, dict[str, Any]] = {name: {} for name in arguments.students}
    for kind, file in zip(KINDS, files):
        frames = [f for f in read_frames(file) if np.abs(f.forces).max() < WILDEST_FORCE]
        for name, found in students.items():
            found[kind] = judge(name, frames)
            print(name, kind, json.dumps(found[kind]), flush=True)
    result = {**provenance(), "students": students}
    arguments.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    arguments.out.write_text(markdown(result))


if __name__ == "__main__":
    main()
