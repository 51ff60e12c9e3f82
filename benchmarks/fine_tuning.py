"""What a shipped student is worth as a start: three minutes from it against ten from nothing.

    python benchmarks/fine_tuning.py -o fine-tuning
    python benchmarks/fine_tuning.py -o fine-tuning --smiles SMILES --frames FRAMES.h5

For each drug: `distill run --from tiny --budget 3` and `--from random --budget 10`, both judged on
the teacher's own MD at 300 and 500 K. Half an hour on two cores. What is there already is kept.
"""

import argparse
import json
import sys
from pathlib import Path

from acceptance import DISTILL, DRUGS, HERE, call

from distill.evaluate.report import provenance


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--drugs", nargs="+", choices=[*DRUGS], default=[*DRUGS])
    parser.add_argument("--smiles", help="of another drug, whose labelled frames are --frames")
    parser.add_argument("--frames", type=Path)
    arguments = parser.parse_args()
    if (arguments.smiles is None) != (arguments.frames is None):
        parser.error("give --smiles and --frames together")
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    result: dict = {"size": arguments.size, **provenance()}
    if arguments.smiles:
        drugs = {arguments.frames.stem: (arguments.smiles, arguments.frames)}
    else:
        drugs = {name: (DRUGS[name][0], out / f"{name}-teacher-md.xyz") for name in arguments.drugs}
    for name, (smiles, frames) in drugs.items():
        if not frames.exists():
            call(sys.executable, HERE / "teacher_md.py", smiles, "-o", frames)
        for start, minutes in ((arguments.size, 3), ("random", 10)):
            run, report = out / f"{name}-{start}", out / f"{name}-{start}-report"
            call(
                DISTILL, "run", smiles, "-o", run, "--size", arguments.size, "--from", start,
                "--budget", minutes,
            )  # fmt: skip
            if not (report / "report.json").exists():
                call(DISTILL, "evaluate", run / "student.safetensors", frames, "-o", report)
            found = json.loads((report / "report.json").read_text())
            result[f"{name} from {start}, {minutes} min"] = {
                key: found[key] for key in ("force_rmse", "force_r2", "angular_error_deg")
            }
    (out / "fine-tuning.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
