"""LAMMPS inside Python, by one function; in a process of its own, as LAMMPS' library stays."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import numpy as np
from ase.build import molecule
from distill_ase import StudentCalculator
from distill_lammps import start
from distill_lammps.data import ORDER, write_data

atoms = molecule("CH3CH2OH")
atoms.set_cell([20.0] * 3)
atoms.center()
write_data(atoms, "ethanol.data")
lmp = start({student!r}, "float64", ["-screen", "none", "-log", "none"])
lmp.commands_string(f'''
units metal
atom_style atomic
boundary f f f
read_data ethanol.data
pair_style mliap unified {file} 1
pair_coeff * * {{ORDER}}
run 0
''')
atoms.calc = StudentCalculator("tiny", dtype="float64")
forces = lmp.numpy.extract_atom("f")[np.argsort(lmp.numpy.extract_atom("id")[:9])]
assert abs(lmp.get_thermo("pe") - atoms.get_potential_energy()) < 1e-9
assert np.abs(forces - atoms.get_forces()).max() < 1e-9
print("right")
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["student", "file"])
def test_start(lmp, tmp_path: Path, way: str) -> None:
    """Without anything on the paths."""
    student, file = (
        ("tiny", "EXISTS") if way == "student" else (None, lmp.export("tiny", "float64"))
    )
    script = SCRIPT.format(student=student, file=file)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.strip().endswith("right"), done.stderr


@pytest.mark.slow
def test_errors_are_raised(lmp, tmp_path: Path) -> None:
    script = SCRIPT.format(student="tiny", file="EXISTS").replace(
        "{ORDER}", "Si C N O F P S Cl Br I"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "ERROR from the student: The student does not know Si" in done.stderr
