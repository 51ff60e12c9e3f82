"""The real ``lmp``, built where it is not there, and its answers in eV and Å."""

import atexit
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import numpy as np
import pytest
from ase import Atoms
from ase.io.lammpsdata import write_lammps_data

from distill_lammps.build import build, find_mpi, with_programs
from distill_lammps.environment import for_subprocess
from distill_lammps.export import export_mliap, export_plugin

ELEMENTS = ["H", "C", "N", "O", "Cl"]
BAR = 1 / 1.6021765e6
"""In eV/Å^3, as LAMMPS has it: 8e-8 less than it is."""


class Answer(NamedTuple):
    """energy, energies (N,), forces (N, 3), stress (6,) in Voigt's order."""

    energy: float
    energies: np.ndarray
    forces: np.ndarray
    stress: np.ndarray
    positions: np.ndarray


@cache
def patient_mpi() -> dict[str, str]:
    """An environment in which ranks that wait let others run (see ``yielding.cpp``): else four of
    them on two busy cores take a hundred times longer."""
    mpi = find_mpi()
    assert mpi is not None
    library = Path(mkdtemp(prefix="yielding-")) / "yielding.so"
    atexit.register(shutil.rmtree, library.parent, ignore_errors=True)
    source = Path(__file__).with_name("yielding.cpp")
    subprocess.run(
        [mpi.mpicxx, "-O2", "-shared", "-fPIC", str(source), "-o", str(library)],
        env=with_programs(), check=True,
    )  # fmt: skip
    return {"LD_PRELOAD": str(library)}


class Lmp:
    """Runs inputs. program: an lmp; environment: beside the test's own."""

    def __init__(self, program: Path, environment: dict[str, str], folder: Path):
        self.program = program
        self.environment = os.environ | environment | {"OMP_NUM_THREADS": "1"}
        self.folder = folder

    def export(self, student: str | Path, dtype: str = "float32", style: str = "mliap") -> Path:
        """A student as a file for ``pair_style mliap`` or ``distill``."""
        file = self.folder / f"{Path(student).stem}-{dtype}.{style}"
        if not file.is_file():
            {"mliap": export_mliap, "distill": export_plugin}[style](student, file, dtype)
        return file

    def run(self, script: str, folder: Path, ranks: int = 1) -> subprocess.CompletedProcess[str]:
        """An input, in a folder; its output with that of standard error."""
        (folder / "in.test").write_text(script)
        mpi = find_mpi()
        assert mpi is not None
        command = [] if ranks == 1 else [mpi.mpiexec, "-n", str(ranks)]
        return subprocess.run(
            [*command, str(self.program), "-in", "in.test"], cwd=folder,
            env=self.environment | (patient_mpi() if ranks > 1 else {}), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    @staticmethod
    def setup(
        atoms: Atoms, file: Path, folder: Path, name: str = "system", ghosts: str = "1",
        units: str = "metal",
    ) -> str:  # fmt: skip
        """The beginning of an input: the system, and the student."""
        write_lammps_data(
            folder / f"{name}.data", atoms, specorder=ELEMENTS, masses=True, units=units,
            atom_style="atomic",
        )  # fmt: skip
        types = " ".join(ELEMENTS)
        if file.suffix == ".distill":
            precision = "double" if "float64" in file.name else "single"
            style = f"pair_style distill {precision}\npair_coeff * * {file} {types}\n"
        else:
            style = f"pair_style mliap unified {file} {ghosts}\npair_coeff * * {types}\n"
        boundary = " ".join("p" if periodic else "f" for periodic in atoms.pbc)
        return (
            f"units {units}\natom_style atomic\nboundary {boundary}\nread_data {name}.data\n{style}"
        )

    def evaluate(
        self, systems: dict[str, Atoms], file: Path, folder: Path, ranks: int = 1,
        after: Callable[[str], str] = lambda name: "run 0", ghosts: str = "1",
    ) -> dict[str, Answer]:  # fmt: skip
        """Single points of several systems in one process, or what is left after some MD."""
        script = "".join(
            f"clear\n{self.setup(atoms, file, folder, name, ghosts)}"
            "compute pe all pe/atom\n"
            "thermo_style custom step pe pxx pyy pzz pyz pxz pxy\n"
            f"{after(name)}\n"
            f"dump d all custom 1 {name}.dump id c_pe fx fy fz x y z\n"
            "dump_modify d sort id format float %.17g\n"
            "velocity all set 0 0 0\n"
            "run 0\n"
            f'print "ANSWER {name} $(pe:%.12f) $(pxx:%.9f) $(pyy:%.9f) $(pzz:%.9f) '
            '$(pyz:%.9f) $(pxz:%.9f) $(pxy:%.9f)"\n'
            for name, atoms in systems.items()
        )
        done = self.run(script, folder, ranks)
        assert done.returncode == 0, done.stdout[-3000:]
        answers = {}
        for name, atoms in systems.items():
            energy, *pressures = map(
                float, re.search(rf"^ANSWER {name} (.*)$", done.stdout, re.M)[1].split()
            )
            rows = np.loadtxt(folder / f"{name}.dump", skiprows=9, ndmin=2)
            assert len(rows) == len(atoms)
            stress = -np.array(pressures) * BAR
            answers[name] = Answer(energy, rows[:, 1], rows[:, 2:5], stress, rows[:, 5:8])
        return answers


@pytest.fixture(scope="session")
def lmp(tmp_path_factory: pytest.TempPathFactory) -> Lmp:
    """The one built from source: ML-IAP's unified models, and the plugin."""
    place = build()
    program = place / "bin" / "lmp"
    return Lmp(program, for_subprocess(place), tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Lmp:
    """PyPI's, with the plugin, in an activated environment."""
    programs = Path(sys.executable).parent
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return Lmp(programs / "lmp", {"PATH": path}, tmp_path_factory.mktemp("wheel"))
