"""What each size costs and is worth in each format and precision.

    python benchmarks/formats.py build/students/test.h5 -o build/formats --page docs/formats.md

The dataset: labelled geometries of molecules nobody trained on (`make students` makes that of the
test set). Writes every file, and measures its size; force RMSE to the teacher and to the float32
student in float64; drift of the total energy over 20 ps of NVE of paracetamol (0.5 fs, from 300 K);
milliseconds for energy and forces through ASE on one thread, neighbour list included, at 20, 50
and 200 atoms. `--parts` measures only some of it: nothing else should run beside `latency`. A
stopped call goes on.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet

from distill import load_student
from distill.bench.systems import system
from distill.data.label import label
from distill.data.molecules import read_molecules
from distill.data.sampling import Sampling, chunks
from distill.evaluate import LabelledFrame, read_frames
from distill.evaluate.report import provenance
from distill.export import FORMATS
from distill.export.validate import runner
from distill.quantize.activations import quantize_activations
from distill.quantize.calibration import read_calibration
from distill.quantize.fine_tune import fine_tune
from distill.student import SIZES, save_student
from distill.student.neighbours import SkinList, exported_inputs
from distill.teacher import TeacherSpec
from distill_ase import OnnxCalculator, StudentCalculator
from distill_lammps.export import export_plugin

ENDINGS = {"torchscript": ".pt", "onnx": ".onnx", "aoti": ".pt2", "lammps": ".lammps"}
TUNED = "int8, fine-tuned"
STATIC = "int8 weights and activations"
PARTS = ("accuracy", "drift", "latency")
ATOMS = (20, 50, 200)
FINE_TUNING_STEPS = 1000
MOST_FRAMES = 240
ROUNDS = 7


class FileCalculator(Calculator):
    """An exported file in ASE by what runs it."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, file: Path, kind: str, cutoff: float):
        super().__init__()
        self.run = runner(file, kind)
        self.cutoff = cutoff
        self.neighbours = SkinList(cutoff, 1.0)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        atoms = self.atoms
        edges = self.neighbours.update(atoms.positions, atoms.cell.array, atoms.pbc)
        energy, forces = self.run(
            *exported_inputs(atoms.positions, atoms.numbers, edges, self.cutoff)
        )
        self.results = {"energy": float(energy), "forces": forces.astype(float)}


def calibration(folder: Path) -> Path:
    """Geometries of training drugs, every element among them, labelled by `tiny` itself."""
    file = folder / "calibration.h5"
    sampling = Sampling(frames=2, conformers=1, temperatures=(300.0, 500.0))
    tasks = [t for m in read_molecules("drugs:train:200") for t in chunks(m, sampling)]
    teacher = TeacherSpec("ase:distill_ase:StudentCalculator", options={"student": "tiny"})
    label(tasks, teacher, file, workers=1)
    return file


def files_of(size: str, folder: Path) -> dict[tuple[str, str], Path]:
    """By format and precision; made where they are not there."""
    student, geometries = load_student(size), folder / "calibration.h5"
    found: dict[tuple[str, str], Path] = {}

    def file(kind: str, precision: str, ending: str, write: Callable[[Path], object]) -> None:
        name = precision.replace(", ", "-").replace(" ", "-")
        path = found[kind, precision] = folder / f"{size}-{name}{ending}"
        if not path.is_file():
            write(path)

    def tuned(path: Path) -> None:
        frames = read_calibration(geometries, student)
        result, scales = fine_tune(student, frames, FINE_TUNING_STEPS)
        save_student(result, path, "int8", scales)

    for precision in ("float32", "float16", "bfloat16", "int8"):
        file(
            "student file", precision, ".safetensors",
            lambda path, p=precision: save_student(student, path, p),
        )  # fmt: skip
    file("student file", TUNED, ".safetensors", tuned)
    for kind, write in FORMATS.items():
        file(kind, "float32", ENDINGS[kind], lambda path, w=write: w(load_student(size), path))
    file("lammps", "float32", ENDINGS["lammps"], lambda path: export_plugin(size, path))
    file(
        "onnx", STATIC, ENDINGS["onnx"],
        lambda path: quantize_activations(student, read_calibration(geometries, student), path),
    )  # fmt: skip
    return found


def calculator(kind: str, file: Path) -> Calculator:
    """On one thread."""
    if kind == "student file":
        return StudentCalculator(file, threads=1)
    if kind == "onnx":
        return OnnxCalculator(file, threads=1)
    return FileCalculator(file, kind, 5.0)


def forces_of(frames: Sequence[LabelledFrame], asked: Calculator) -> np.ndarray:
    """(A, 3) of all frames, one after the other, in eV/Å."""
    return np.concatenate(
        [asked.get_forces(Atoms(f.numbers, f.positions, cell=f.cell, pbc=f.pbc)) for f in frames]
    )


def accuracy(
    asked: Calculator, frames: Sequence[LabelledFrame], exact: np.ndarray
) -> dict[str, float]:
    """RMSE of the forces in eV/Å to the teacher's and to ``exact`` (A, 3)."""
    found = forces_of(frames, asked)
    teacher = np.concatenate([frame.forces for frame in frames])

    def rmse(other: np.ndarray) -> float:
        return float(np.sqrt(((found - other) ** 2).mean()))

    return {"to_teacher": rmse(teacher), "to_student": rmse(exact)}


def drift(asked: Calculator, picoseconds: float = 20.0) -> dict[str, float]:
    """Slope of the total energy, meV/atom/ps, and what is left around the line, meV/atom."""
    atoms = system(20)
    atoms.calc = asked
    rng = np.random.default_rng(0)
    MaxwellBoltzmannDistribution(atoms, temperature_K=300, rng=rng)
    warm = {"temperature_K": 300, "friction": 0.02 / units.fs, "rng": rng}
    Langevin(atoms, 0.5 * units.fs, **warm).run(2000)
    dynamics = VelocityVerlet(atoms, 0.5 * units.fs)
    times, energies = [], []
    for _ in range(round(picoseconds * 2000) // 20):
        dynamics.run(20)
        times.append(dynamics.get_time() / (1000 * units.fs))
        energies.append(1000 * atoms.get_total_energy() / len(atoms))
    line = np.polyfit(times, energies, 1)
    return {
        "drift": float(line[0]),
        "fluctuation": float(np.std(energies - np.polyval(line, times))),
    }


def milliseconds(asked: Calculator, n_atoms: int) -> float:
    """Of a call, the median of rounds of half a second."""
    atoms, rng = system(n_atoms), np.random.default_rng(0)
    start = atoms.positions.copy()

    def call() -> None:
        atoms.positions = start + 0.01 * rng.normal(size=start.shape)
        asked.get_forces(atoms)

    for _ in range(3):
        call()
    rounds = []
    for _ in range(ROUNDS):
        began, calls = time.perf_counter(), 0
        while time.perf_counter() - began < 0.5:
            call()
            calls += 1
        rounds.append(1000 * (time.perf_counter() - began) / calls)
    return float(np.median(rounds))


def page(result: dict[str, Any]) -> str:
    """Markdown."""
    columns = [
        "size", "parameters", "format", "precision", "file (kB)",
        "force RMSE to the teacher (eV/Å)", "to the float64 student",
        "drift (meV/atom/ps)", "fluctuation (meV/atom)",
        *(f"ms, {n} atoms" for n in ATOMS),
    ]  # fmt: skip
    lines = [columns, ["---"] * len(columns)]
    for row in result["rows"].values():
        right = row.get("accuracy", {}), row.get("drift", {}), row.get("latency", {})
        lines.append(
            [
                f"`{row['size']}`", f"{row['parameters']:,}", row["format"], row["precision"],
                f"{row['bytes'] / 1000:.1f}",
                shown(right[0].get("to_teacher"), ".4f"), shown(right[0].get("to_student"), ".1e"),
                shown(right[1].get("drift"), ".4f"), shown(right[1].get("fluctuation"), ".3f"),
                *(shown(right[2].get(str(n)), ".3f") for n in ATOMS),
            ]
        )  # fmt: skip
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return (
        "# Formats and precisions\n\n"
        "Measured by `benchmarks/formats.py`, which says what each column is: "
        f"{result['date'][:10]}, {result['machine']['cpu']}, one thread, torch "
        f"{result['versions']['torch']}, ONNX Runtime {result['onnxruntime']}; forces on "
        f"{result['frames']} geometries of test drugs.\n\n"
        "A student file with fewer bits is computed in float32 by the fused kernel, and so is what "
        "is exported from it: in other formats it costs what float32 costs, with its errors. "
        f"`{STATIC}` is ONNX Runtime's static quantization (`distill quantize --calibrate`): its "
        "forces have steps, and its energy is conserved only on average; it is there to compare, "
        f"and not advised. `{TUNED}` is `distill quantize --fine-tune`. CUDA is unmeasured. The "
        "files for LAMMPS are timed in [lammps.md](lammps.md).\n\n" + table + "\n"
    )


def shown(value: float | None, form: str) -> str:
    """A number, or a dash where it was not measured."""
    return "–" if value is None else format(value, form)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path, help="labelled frames to compare with the teacher")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for files and JSON")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--page", type=Path, help="the Markdown file to write")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    frames = read_frames(arguments.dataset)[:MOST_FRAMES]
    calibration(arguments.out)
    record = arguments.out / "formats.json"
    rows: dict[str, dict] = json.loads(record.read_text())["rows"] if record.is_file() else {}
    for size in arguments.sizes:
        student = load_student(size)
        exact = forces_of(frames, StudentCalculator(student, dtype="float64"))
        for (kind, precision), file in files_of(size, arguments.out).items():
            row = rows.setdefault(f"{size}, {kind}, {precision}", {})
            row |= {
                "size": size, "format": kind, "precision": precision,
                "parameters": sum(p.numel() for p in student.parameters()),
                "bytes": file.stat().st_size,
            }  # fmt: skip
            for part in arguments.parts if kind != "lammps" else ():
                if part in row:
                    continue
                asked = calculator(kind, file)
                if part == "accuracy":
                    row[part] = accuracy(asked, frames, exact)
                else:
                    row[part] = (
                        drift(asked)
                        if part == "drift"
                        else {str(n): milliseconds(asked, n) for n in ATOMS}
                    )
                print(size, kind, precision, part, row[part], flush=True)
            result = {
                **provenance(), "onnxruntime": onnxruntime.__version__, "frames": len(frames),
                "rows": rows,
            }  # fmt: skip
            record.write_text(json.dumps(result, indent=2) + "\n")
    if arguments.page:
        arguments.page.write_text(page(json.loads(record.read_text())))


if __name__ == "__main__":
    main()
