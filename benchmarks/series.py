"""One student for six related drugs, by one command.

    python benchmarks/series.py -o series --minutes 10

`distill run` on six profens (tiny, GFN2-xTB); the errors are those of its own report: on frames of
the student's MD at 300 and 500 K that it was not trained on, labelled by the teacher. Prints a
table.
"""

import argparse
import json
from pathlib import Path

from acceptance import DISTILL, call

from distill.evaluate.report import provenance

PROFENS = {
    "ibuprofen": "CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O",
    "naproxen": "C[C@H](C(=O)O)c1ccc2cc(OC)ccc2c1",
    "ketoprofen": "C[C@H](C(=O)O)c1cccc(c1)C(=O)c1ccccc1",
    "flurbiprofen": "C[C@H](C(=O)O)c1ccc(c(F)c1)-c1ccccc1",
    "fenoprofen": "C[C@H](C(=O)O)c1cccc(c1)Oc1ccccc1",
    "suprofen": "C[C@H](C(=O)O)c1ccc(cc1)C(=O)c1cccs1",
}
COLUMNS = ("atoms", "labels", "frames", "force_rmse", "force_r2", "angular_error_deg")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--size", default="tiny")
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    source = out / "profens.smi"
    source.write_text("".join(f"{smiles} {name}\n" for name, smiles in PROFENS.items()))
    call(
        DISTILL, "run", source, "-o", out / "run", "--size", arguments.size,
        "--budget", arguments.minutes,
    )  # fmt: skip
    report = json.loads((out / "run" / "report.json").read_text())
    print("| drug |", " | ".join(COLUMNS), "|")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for one in [*report["molecules"], {**report, "name": "all", "frames": report["n_frames"]}]:
        cells = [one.get(column, "") for column in COLUMNS]
        print("|", one["name"], "|", " | ".join(f"{c:.4g}" if c else "" for c in cells), "|")
    machine = provenance()
    print(f"{arguments.minutes:g} minutes; {machine['date']}, {machine['machine']}")


if __name__ == "__main__":
    main()
