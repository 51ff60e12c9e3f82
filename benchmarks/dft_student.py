"""A student of DFT from a handful of labels, by one command; judged on DFT frames of its own.

    python benchmarks/dft_student.py CCO -o build/ethanol --labels 10 25   # an hour on two cores

`distill run SMILES --teacher TEACHER --labels N` for each N, and the errors of the student, of the
shipped student it started from and of GFN2-xTB on 30 frames of the MD of the shipped `tiny` at 300
and 500 K, whose labels are made first. Energies are apart from a constant. What is there already is
kept.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from acceptance import DISTILL, call
from ase import Atoms

from distill.data.explore import first_geometries
from distill.data.label import label
from distill.data.molecules import read_sources
from distill.data.student_md import student_md
from distill.evaluate import read_frames
from distill.evaluate.frames import LabelledFrame
from distill.evaluate.predict import predict
from distill.evaluate.report import provenance
from distill.student import load_student
from distill.teacher.base import TeacherSpec

KCAL = 23.060548
SEED = 991


def frames_of(smiles: str, teacher: str, count: int, file: Path) -> list[LabelledFrame]:
    """Geometries of the shipped student's MD, labelled one by one."""
    molecule = read_sources([smiles])[0]
    walks = student_md(
        load_student("tiny"), molecule.numbers, first_geometries(molecule, 8, SEED),
        [(300.0, 500.0)[k % 2] for k in range(8)], frames=-(-count // 8) + 1, steps_between=200,
        seed=SEED,
    )  # fmt: skip
    frames = [frame for frames in zip(*walks, strict=True) for frame in frames][:count]
    label([(molecule, [f]) for f in frames], TeacherSpec(teacher), file, workers=1, progress=False)
    return read_frames(file)


def errors(frames: list[LabelledFrame], energy: np.ndarray, forces: np.ndarray) -> dict[str, float]:
    """Force RMSE (eV/Å), and the energies' standard error (kcal/mol)."""
    truth = np.concatenate([frame.forces for frame in frames])
    off = energy - np.array([frame.energy for frame in frames])
    return {
        "force_rmse": float(np.sqrt(((forces - truth) ** 2).mean())),
        "energy_kcal_per_mol": float(KCAL * off.std()),
    }


def of_student(name: str, frames: list[LabelledFrame]) -> dict[str, float]:
    """Those of a student."""
    student = load_student(name)
    student.card = {}
    found = predict(student, frames, progress=False)
    return errors(frames, found.energy_pred, found.forces_pred)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("smiles")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--labels", type=int, nargs="+", default=[10, 25])
    parser.add_argument("--frames", type=int, default=30, help="to judge by")
    parser.add_argument("--teacher", default="pyscf:r2scan-d4/def2-svp")
    parser.add_argument("--size", default="tiny")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    frames = frames_of(arguments.smiles, arguments.teacher, arguments.frames, out / "frames.h5")
    xtb = (
        TeacherSpec("gfn2-xtb")
        .load()
        .label([Atoms(f.numbers, f.positions, info={"charge": f.charge}) for f in frames])
    )
    forces = np.concatenate([one.forces for one in xtb])
    result: dict[str, Any] = {
        "smiles": arguments.smiles,
        "teacher": arguments.teacher,
        "frames": len(frames),
        "GFN2-xTB": errors(frames, np.array([one.energy for one in xtb]), forces),
        arguments.size: of_student(arguments.size, frames),
        **provenance(),
    }
    for count in arguments.labels:
        run = out / f"{arguments.size}-{count}"
        call(
            DISTILL, "run", arguments.smiles, "-o", run, "--size", arguments.size,
            "--teacher", arguments.teacher, "--labels", count,
        )  # fmt: skip
        report = json.loads((run / "report.json").read_text())
        result[f"{count} labels"] = {
            **of_student(str(run / "student.safetensors"), frames),
            **{key: report[key] for key in ("seconds_per_label", "learning_curve")},
            "minutes": report["run"]["seconds"] / 60.0,
            "ns_per_day": report["md"]["ns_per_day"],
        }
        (out / "dft-student.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
