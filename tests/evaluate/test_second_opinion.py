"""Two students that differ: the more, the more wrong they are."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from typer.testing import CliRunner

from distill import load_student
from distill.cli import app
from distill.data.molecules import Molecule, from_smiles
from distill.data.sampling import sample
from distill.evaluate.second_opinion import GEOMETRIES, second_opinion
from distill.student import Student, save_student
from distill.teacher import TeacherSpec
from distill_ase import StudentCalculator

ETHANOL = "CCO"
KNOWN_TO_UNKNOWN = [
    ETHANOL,
    "CC(=O)Nc1ccc(O)cc1",
    "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    "OP(=O)(O)C(O)P(=O)(O)O",
    "C[n+]1ccccc1C=NO",
    "O=S1(=O)N=S(=O)=NC1",
]


def test_students_that_are_the_same_agree() -> None:
    student = load_student("ultra-tiny")
    found = second_opinion(student, load_student("ultra-tiny"), from_smiles(ETHANOL))
    assert found.difference == 0.0 and not found.doubtful and found.atoms == 9


def forces_of(student: Student, molecule: Molecule) -> np.ndarray:
    """Of the geometries compared, one at a time, by the kernel."""
    found = []
    for frame in sample(molecule, GEOMETRIES):
        atoms = molecule.atoms(np.asarray(frame.positions, dtype=float))
        atoms.calc = StudentCalculator(student)
        found.append(atoms.get_forces())
    return np.array(found)


def rms(x: np.ndarray) -> float:
    return float(np.sqrt((x**2).mean()))


def test_the_difference_is_that_of_the_students_own_forces() -> None:
    molecule = from_smiles(ETHANOL)
    pair = load_student("ultra-tiny"), load_student("tiny")
    found = second_opinion(*pair, molecule)
    one, two = (forces_of(student, molecule) for student in pair)
    assert found.frames == len(one)
    assert found.difference == pytest.approx(rms(one - two), rel=1e-3)


@pytest.mark.filterwarnings("ignore:.*unlike all that the student has learned")
def test_differences_rank_molecules_as_the_teacher_does() -> None:
    teacher = TeacherSpec("gfn2-xtb").load()
    pair = load_student("tiny"), load_student("original")
    differences, errors = [], []
    for smiles in KNOWN_TO_UNKNOWN:
        molecule = from_smiles(smiles)
        frames = sample(molecule, GEOMETRIES)
        labels = teacher.label([molecule.atoms(np.asarray(f.positions, float)) for f in frames])
        differences.append(second_opinion(*pair, molecule).difference)
        errors.append(rms(forces_of(pair[0], molecule) - np.array([x.forces for x in labels])))
    assert spearmanr(differences, errors).statistic > 0.7


def test_what_a_student_does_not_know_is_doubtful() -> None:
    pair = load_student("tiny"), load_student("original")
    found = second_opinion(*pair, from_smiles("[O-]P(=O)([O-])[O-]", "phosphate"))
    assert found.doubtful and "charge" in found.problem and np.isnan(found.difference)


def test_the_command_tells_by_its_exit_code() -> None:
    result = CliRunner().invoke(app, ["check", "tiny", ETHANOL])
    assert result.exit_code == 0 and "agrees with its teacher" in result.output
    assert "trust" not in result.output.lower()
    # what the teacher itself is good for
    assert "Errors are to the teacher" in result.output and "0.25 eV/Å off DFT" in result.output
    result = CliRunner().invoke(app, ["check", "tiny", ETHANOL, "[O-]P(=O)([O-])[O-]"])
    assert result.exit_code == 1 and "1 of 2" in result.output
    result = CliRunner().invoke(app, ["check", "tiny", "C[n+]1ccccc1C=NO"])
    assert result.exit_code == 1 and "needs labels of its own" in result.output
    result = CliRunner().invoke(app, ["check", "tiny", ETHANOL, "--against", "tiny"])
    assert result.exit_code == 2


def test_students_of_two_teachers_differ_for_that_reason_too(tmp_path: Path) -> None:
    other = load_student("ultra-tiny")
    other.card["teacher"] = {**other.card["teacher"], "name": "pyscf:pbe/def2-svp"}
    save_student(other, tmp_path / "dft.safetensors")
    arguments = ["check", "tiny", "O", "--against", str(tmp_path / "dft.safetensors")]
    told = CliRunner().invoke(app, arguments).output
    assert "have different teachers, who differ, too" in " ".join(told.split())
    arguments = ["check", str(tmp_path / "dft.safetensors"), "O", "--against", "tiny"]
    assert "as good as its functional and basis set" in CliRunner().invoke(app, arguments).output


def test_one_atom_has_no_forces_to_compare() -> None:
    opinion = second_opinion(load_student("tiny"), load_student("ultra-tiny"), from_smiles("[Cl-]"))
    assert opinion.doubtful and "one atom" in opinion.problem
