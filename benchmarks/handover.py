"""Does a student know what a proton costs that crosses a hydrogen bond?

    python benchmarks/handover.py original tiny -o handover.json [--source drugs:validation]

A geometry of each molecule from a force field; where it has a hydrogen bond within itself, the
hydrogen is moved to PLACES between the two ends, nothing else. Energies along the way, above that
at the first place, are compared with the teacher's. An error of several eV is a false well (the
proton leaves, and MD with it) or a wall (it cannot go where it should).
"""

import argparse
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pool import in_processes
from rich.console import Console
from rich.table import Table

from distill import load_student
from distill.data.distort import handed
from distill.data.explore import first_geometries
from distill.data.molecules import Molecule, read_molecules
from distill.evaluate.report import provenance
from distill.teacher import Teacher, TeacherSpec
from distill_ase import StudentCalculator

PLACES = 8


@cache
def teacher() -> Teacher:
    """Once a process."""
    return TeacherSpec("gfn2-xtb").load()


def scan(students: list[str], molecule: Molecule) -> dict[str, Any] | None:
    """Energies (eV) of the teacher and of the students along the way; None without a bond."""
    assert molecule.rdmol is not None
    (start,) = first_geometries(molecule, 1, 0)
    way = handed(molecule.rdmol, start, PLACES, np.random.default_rng(0))
    atoms = [molecule.atoms(positions) for positions in way]
    labels = teacher().label(atoms)
    if not atoms or any(label.error for label in labels):
        return None
    found = {"teacher": [label.energy for label in labels]}
    for name in students:
        calculator = StudentCalculator(load_student(name))
        found[name] = [float(calculator.get_potential_energy(one)) for one in atoms]
    return {name: (np.array(e) - e[0]).tolist() for name, e in found.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("students", nargs="+")
    parser.add_argument("--source", default="drugs:validation")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    molecules = {m.name: m for m in read_molecules(arguments.source)}
    tasks = {name: (arguments.students, molecule) for name, molecule in molecules.items()}
    scans = {n: s for n, s in in_processes(scan, tasks, arguments.workers) if s is not None}
    table = Table(
        "student", "molecules", "median", "90 %", "largest", "beyond 1 eV", "of these wells"
    )
    summary = {}
    for name in arguments.students:
        errors = [np.subtract(s[name], s["teacher"]) for s in scans.values()]
        signed = np.array([e[np.abs(e).argmax()] for e in errors])
        worst = np.abs(signed)
        summary[name] = {
            "molecules": len(worst), "median": float(np.median(worst)),
            "90 %": float(np.quantile(worst, 0.9)), "largest": float(np.max(worst)),
            "beyond 1 eV": int((worst > 1.0).sum()), "of these wells": int((signed < -1.0).sum()),
        }  # fmt: skip
        cells = (f"{x:.2f}" if isinstance(x, float) else str(x) for x in summary[name].values())
        table.add_row(name, *cells)
    result = {"source": arguments.source, **provenance(), "summary": summary, "scans": scans}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    Console().print("Largest error along a molecule's way, eV:", table)


if __name__ == "__main__":
    main()
