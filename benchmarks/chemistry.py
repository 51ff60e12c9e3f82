"""What a chemist asks of a potential, against the teacher, on molecules nobody trained on.

    python benchmarks/chemistry.py -o chemistry.json

Molecules: the first test drugs of at most 45 atoms. Of each, conformers are optimized by the
teacher, and from there by each student: RMSD of the geometries (all atoms, Å), and how the
conformers' energies compare (Spearman's rank correlation, mean absolute error in kcal/mol). Of the
lowest: harmonic frequencies at its own minimum (central differences of 0.005 Å; mean absolute
error of the sorted modes above 50 cm-1), and one torsion, turned rigidly in steps of 15 degrees
(RMSE in kcal/mol where the teacher's energy is below 15 kcal/mol). A stopped call goes on, and one
with other students asks the teacher no more.
"""

from typing import Any

import numpy as np
from ase import Atoms
from ase.build import minimize_rotation_and_translation
from ase.calculators.calculator import Calculator
from ase.optimize import LBFGS
from ase.units import kcal, mol
from ase_teacher import TeacherCalculator
from on_drugs import arguments_of, means, on_drugs
from rdkit.Chem import rdMolTransforms
from scipy.stats import spearmanr
from yardstick.vibrations import frequencies

from distill.data.distort import placed, torsions_of
from distill.data.molecules import Molecule
from distill.data.sampling import starts_of
from distill_ase import StudentCalculator

KCAL = kcal / mol
CONFORMERS = 6
MOST_ATOMS = 45
WINDOW = 15.0  # kcal/mol
SAME = 0.05  # kcal/mol


def optimized(molecule: Molecule, positions: np.ndarray, calculator: Calculator) -> Atoms:
    """At the minimum nearest to ``positions``."""
    atoms = molecule.atoms(positions)
    atoms.calc = calculator
    LBFGS(atoms, logfile=None, maxstep=0.1).run(fmax=0.01, steps=500)
    return atoms


def rmsd(a: Atoms, b: Atoms) -> float:
    """Å, all atoms, after the best rotation and translation."""
    moved = b.copy()
    minimize_rotation_and_translation(a, moved)
    return float(np.sqrt(((moved.positions - a.positions) ** 2).sum(1).mean()))


def turned(molecule: Molecule, positions: np.ndarray) -> list[np.ndarray]:
    """The torsion in the molecule's middle at every 15 degrees, the rest stiff; [] without one."""
    assert molecule.rdmol is not None
    heavy = [t for t in torsions_of(molecule.rdmol) if molecule.numbers[list(t)].min() > 1]
    if not heavy:
        return []
    torsion = heavy[len(heavy) // 2]
    found = []
    for angle in range(0, 360, 15):
        conformer = placed(molecule.rdmol, positions).GetConformer()
        rdMolTransforms.SetDihedralDeg(conformer, *torsion, float(angle))
        found.append(np.asarray(conformer.GetPositions()))
    return found


def energies(molecule: Molecule, geometries: list[np.ndarray], calculator: Any) -> np.ndarray:
    """(M,) in kcal/mol."""
    found = []
    for positions in geometries:
        atoms = molecule.atoms(positions)
        atoms.calc = calculator
        found.append(atoms.get_potential_energy() / KCAL)
    return np.array(found)


def distinct(energies: np.ndarray) -> list[int]:
    """Of minima with one energy (kcal/mol), as mirror images have, one."""
    kept: list[int] = []
    for k in np.argsort(energies):
        if not kept or energies[k] - energies[kept[-1]] > SAME:
            kept.append(int(k))
    return kept


def by_teacher(molecule: Molecule, teacher: Any) -> dict[str, Any]:
    """Minima (Å), their energies and a torsion's profile (kcal/mol), and frequencies (cm-1)."""
    starts = starts_of(molecule, CONFORMERS, 1)
    minima = [optimized(molecule, s.GetConformer().GetPositions(), teacher) for s in starts]
    found = np.array([a.get_potential_energy() for a in minima]) / KCAL
    lowest = minima[int(np.argmin(found))]
    return {
        "minima": [a.positions.tolist() for a in minima],
        "energies": found.tolist(),
        "frequencies": frequencies(lowest).tolist(),
        "profile": energies(molecule, turned(molecule, lowest.positions), teacher).tolist(),
    }


def judge(
    molecule: Molecule, students: list[str], teacher_name: str, known: dict[str, Any]
) -> dict[str, Any]:
    """All of one molecule, each student in turn."""
    truth = known.get("by teacher") or by_teacher(molecule, TeacherCalculator(teacher_name))
    minima = [molecule.atoms(np.array(positions)) for positions in truth["minima"]]
    reference, modes = np.array(truth["energies"]), np.array(truth["frequencies"])
    different = distinct(reference)
    profile = np.array(truth["profile"])
    inside = np.flatnonzero(profile - reference.min() < WINDOW)  # elsewhere atoms overlap
    scan = turned(molecule, minima[int(np.argmin(reference))].positions)
    scan = [scan[k] for k in inside]

    found: dict[str, Any] = {
        "atoms": len(molecule), "conformers": len(different), "by teacher": truth,
    }  # fmt: skip
    for name in students:
        calculator = StudentCalculator(name)
        own = [optimized(molecule, a.positions, calculator) for a in minima]
        ranked = np.array([a.get_potential_energy() for a in own]) / KCAL
        own_modes = frequencies(own[int(np.argmin(reference))])
        clear = modes > 50
        row = {
            "rmsd": float(np.mean([rmsd(a, b) for a, b in zip(minima, own, strict=True)])),
            "frequency_mae": float(np.abs(own_modes - modes)[clear].mean()),
        }
        if len(different) > 2:
            one, other = reference[different], ranked[different]
            row["conformer_spearman"] = float(spearmanr(one, other).statistic)
            row["conformer_mae"] = float(np.abs((other - other.mean()) - (one - one.mean())).mean())
        if len(scan) > 5:
            error = energies(molecule, scan, calculator) - profile[inside]
            row["torsion_rmse"] = float(error.std())
        found[name] = row
    return found


def summary(molecules: list[dict], students: list[str]) -> dict[str, dict[str, float]]:
    """Means over the molecules."""
    keys = ("rmsd", "frequency_mae", "conformer_spearman", "conformer_mae", "torsion_rmse")
    return {name: means(molecules, name, keys) for name in students}


if __name__ == "__main__":
    on_drugs(arguments_of(__doc__, 12).parse_args(), MOST_ATOMS, judge, summary)
