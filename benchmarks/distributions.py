"""Bonds and angles in 100 ps of MD at 300 K: students against their teacher.

    python benchmarks/distributions.py -o distributions.json

Molecules: the first test drugs of at most 30 atoms, from the teacher's minimum. Langevin MD (1 fs,
friction 0.01 per fs), a frame every 20 fs after the first 5 ps. Of all bonds and angles: how far
their means are from the teacher's (Å, degrees), and how much of the histograms is common, 1 being
all of it. What of that is noise, the two halves of the teacher's own frames say. A stopped call
goes on, and one with other students takes the teacher's frames from the folder beside the file.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import units
from ase.calculators.calculator import Calculator
from ase.geometry import get_angles
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase_teacher import TeacherCalculator
from chemistry import optimized
from on_drugs import arguments_of, means, on_drugs
from rdkit import Chem

from distill.data.molecules import Molecule
from distill.data.sampling import starts_of
from distill_ase import StudentCalculator

KELVIN = 300.0
MOST_ATOMS = 30
BINS = 40
TEACHER = "the teacher's halves"


def trajectory(
    molecule: Molecule, start: np.ndarray, calculator: Calculator, picoseconds: float
) -> np.ndarray:
    """(F, N, 3) in Å."""
    atoms = molecule.atoms(start)
    atoms.calc = calculator
    rng = np.random.default_rng(0)
    MaxwellBoltzmannDistribution(atoms, temperature_K=KELVIN, rng=rng)
    dynamics = Langevin(
        atoms, units.fs, temperature_K=KELVIN, friction=0.01 / units.fs, rng=rng, fixcm=False
    )
    dynamics.run(5000)
    frames = []
    for _ in range(round(picoseconds * 1000) // 20):
        dynamics.run(20)
        frames.append(atoms.positions.copy())
    return np.array(frames)


def internal(molecule: Molecule, x: np.ndarray) -> dict[str, np.ndarray]:
    """Bonds (F, B) in Å and angles (F, A) in degrees of frames (F, N, 3)."""
    assert molecule.rdmol is not None
    i, j = np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in molecule.rdmol.GetBonds()]).T
    a, b, c = np.array(molecule.rdmol.GetSubstructMatches(Chem.MolFromSmarts("*~*~*"))).T
    sides = (x[:, a] - x[:, b]).reshape(-1, 3), (x[:, c] - x[:, b]).reshape(-1, 3)
    return {
        "bonds": np.linalg.norm(x[:, i] - x[:, j], axis=-1),
        "angles": get_angles(*sides).reshape(len(x), -1),
    }


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """The common part of two samples' histograms."""
    edges = np.linspace(min(a.min(), b.min()), max(a.max(), b.max()), BINS + 1)
    shares = [np.histogram(x, edges)[0] / len(x) for x in (a, b)]
    return float(np.minimum(*shares).sum())


def compared(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> dict[str, float]:
    """Means over all bonds, and over all angles."""
    row = {}
    for kind in a:
        row[f"{kind}_mean_error"] = float(np.abs(a[kind].mean(0) - b[kind].mean(0)).mean())
        row[f"{kind}_overlap"] = float(
            np.mean([overlap(*pair) for pair in zip(a[kind].T, b[kind].T, strict=True)])
        )
    return row


def by_teacher(
    molecule: Molecule, teacher_name: str, picoseconds: float, file: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Its minimum (N, 3) and its MD from there (F, N, 3), in Å; kept in the file."""
    if not file.exists():
        teacher = TeacherCalculator(teacher_name)
        (conformer,) = starts_of(molecule, 1, 1)
        start = optimized(molecule, conformer.GetConformer().GetPositions(), teacher).positions
        frames = trajectory(molecule, start, teacher, picoseconds)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part.npz")
        np.savez(part, start=start, frames=frames)
        part.rename(file)
    kept = np.load(file)
    return kept["start"], kept["frames"]


def judge(
    molecule: Molecule,
    students: list[str],
    teacher_name: str,
    known: dict[str, Any],  # what the file has; the teacher's frames are in the folder
    picoseconds: float,
    folder: Path,
) -> dict[str, Any]:
    """All of one molecule, each student in turn."""
    file = folder / f"{molecule.name}-{picoseconds:g}.npz"
    start, frames = by_teacher(molecule, teacher_name, picoseconds, file)
    reference = internal(molecule, frames)
    half = len(reference["bonds"]) // 2
    halves = [{k: v[part] for k, v in reference.items()} for part in (np.s_[:half], np.s_[half:])]
    found: dict[str, Any] = {"atoms": len(molecule), TEACHER: compared(*halves)}
    for name in students:
        frames = trajectory(molecule, start, StudentCalculator(name), picoseconds)
        found[name] = compared(reference, internal(molecule, frames))
    return found


def summary(molecules: list[dict], students: list[str]) -> dict[str, dict[str, float]]:
    """Means over the molecules."""
    keys = ("bonds_mean_error", "bonds_overlap", "angles_mean_error", "angles_overlap")
    return {who: means(molecules, who, keys) for who in [TEACHER, *students]}


if __name__ == "__main__":
    parser = arguments_of(__doc__, 4)
    parser.add_argument("--picoseconds", type=float, default=100.0)
    given = parser.parse_args()
    beside = partial(judge, folder=given.out.with_suffix(""))
    on_drugs(given, MOST_ATOMS, beside, summary, picoseconds=given.picoseconds)
