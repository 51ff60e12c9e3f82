"""`distill run` on two drugs, judged by what it was never shown. About an hour on two cores.

    python benchmarks/acceptance.py -o acceptance

For each drug: `distill run` (tiny, ten minutes); frames of GFN2-xTB's own MD at 300 and 500 K and
the student's errors on them; 100 ps at 300 K in OpenMM and the NVE drift; and how far ASE, OpenMM
Reference and OpenMM CPU are from float64 on the same frames. What is there already is kept.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import openmm
from openmm import unit
from rich.console import Console
from rich.table import Table

from distill import load_student
from distill.data.molecules import read_molecules
from distill.evaluate.report import provenance
from distill_ase import StudentCalculator
from distill_openmm.module import KJ_PER_MOL_PER_EV
from distill_openmm.topology import system_of, topology_of

HERE = Path(__file__).parent
DISTILL = str(Path(sys.executable).with_name("distill"))

DRUGS = {
    "paracetamol": ("CC(=O)Nc1ccc(O)cc1", 0.02, 0.9995),
    "imatinib": (
        "CN1CCN(CC1)Cc1ccc(cc1)C(=O)Nc1ccc(C)c(c1)Nc1nccc(n1)-c1cccnc1",
        0.04,
        0.998,
    ),
}
"""Name: SMILES, largest force RMSE (eV/Å) and smallest R2 that were asked for."""


def call(*command: object) -> None:
    """Runs a command and stops the script when it fails."""
    print("+", *command, flush=True)
    subprocess.run([str(c) for c in command], check=True)


def parity(student_file: Path, smiles: str, frames: Path) -> dict[str, float]:
    """Largest differences from float64, over every fifth frame: eV/atom and eV/Å."""
    (molecule,) = read_molecules(smiles)
    student = load_student(student_file)
    exact = StudentCalculator(student_file, dtype="float64")
    routes = {"ASE": StudentCalculator(student_file)}
    contexts = {}
    for name in ("Reference", "CPU"):
        topology = topology_of(molecule)
        system = system_of(student, topology)
        platform = openmm.Platform.getPlatform(name)
        contexts[f"OpenMM {name}"] = openmm.Context(
            system, openmm.VerletIntegrator(0.001), platform
        )
    worst: dict[str, float] = {}

    def note(route: str, energy: float, forces: np.ndarray) -> None:
        reference = exact.results
        energy_error = abs(energy - reference["energy"]) / len(molecule)
        force_error = np.abs(forces - reference["forces"]).max()
        for key, value in (("energy", energy_error), ("force", force_error)):
            worst[f"{route} {key}"] = max(worst.get(f"{route} {key}", 0.0), float(value))

    for atoms in ase.io.read(frames, index="::5"):
        exact.calculate(atoms)
        for route, calculator in routes.items():
            calculator.calculate(atoms)
            note(route, calculator.results["energy"], calculator.results["forces"])
        for route, context in contexts.items():
            context.setPositions(atoms.positions * 0.1)
            state = context.getState(energy=True, forces=True)
            energy = state.getPotentialEnergy()._value / KJ_PER_MOL_PER_EV
            forces = state.getForces(asNumpy=True)
            unit_ = unit.kilojoule_per_mole / unit.nanometer
            note(route, energy, forces.value_in_unit(unit_) / KJ_PER_MOL_PER_EV / 10)
    return worst


def judge(name: str, out: Path, size: str, minutes: float) -> dict:
    """All figures of one drug."""
    smiles, rmse_limit, r2_limit = DRUGS[name]
    folder, frames = out / name, out / f"{name}-teacher-md.xyz"
    checked, stability = out / f"{name}-on-teacher-md", out / f"{name}-stability.json"
    student = folder / "student.safetensors"
    call(DISTILL, "run", smiles, "-o", folder, "--size", size, "--budget", minutes)
    if not frames.exists():
        call(sys.executable, HERE / "teacher_md.py", smiles, "-o", frames)
    if not (checked / "report.json").exists():
        call(DISTILL, "evaluate", student, frames, "-o", checked)
    if not stability.exists():
        call(sys.executable, HERE / "md_stability.py", student, smiles, "-o", stability)
    report = json.loads((checked / "report.json").read_text())
    (md,) = json.loads(stability.read_text())["molecules"].values()
    return {
        "force_rmse": report["force_rmse"],
        "force_rmse_at_most": rmse_limit,
        "force_r2": report["force_r2"],
        "force_r2_above": r2_limit,
        "per_temperature": report["per_temperature"],
        "angular_error_deg": report["angular_error_deg"],
        "energy_mae_per_atom": report["energy_mae_per_atom"],
        "nve": md["nve"],
        "langevin": md["langevin"]["300 K"],
        "parity": parity(student, smiles, frames),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--budget", type=float, default=10.0)
    parser.add_argument("--drugs", nargs="+", choices=[*DRUGS], default=[*DRUGS])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    place = provenance()
    results: dict = {key: place[key] for key in ("date", "machine", "versions")}
    for name in arguments.drugs:
        results[name] = judge(name, arguments.out, arguments.size, arguments.budget)
    (arguments.out / "acceptance.json").write_text(json.dumps(results, indent=2) + "\n")

    table = Table("drug", "what", "measured", "asked for")
    for name in arguments.drugs:
        r = results[name]
        rows = [
            ("force RMSE, teacher's MD (eV/Å)", r["force_rmse"], f"<= {r['force_rmse_at_most']}"),
            ("force R2", r["force_r2"], f"> {r['force_r2_above']}"),
            ("broken bonds in 100 ps", r["langevin"]["broken_bonds"], "0"),
            ("NVE drift (meV/atom/ps)", r["nve"]["drift_mev_per_atom_per_ps"], "< 0.1"),
            *((f"{k} off float64", v, "1e-5 eV/atom, 1e-4 eV/Å") for k, v in r["parity"].items()),
        ]
        for what, value, asked in rows:
            table.add_row(name, what, f"{value:.5g}", asked)
    Console().print({key: results[key] for key in ("date", "machine", "versions")})
    Console().print(table)


if __name__ == "__main__":
    main()
