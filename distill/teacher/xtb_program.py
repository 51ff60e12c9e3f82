"""The program ``xtb`` as an ASE calculator: the way to g-xTB, which no library on PyPI has.

    distill label CCO -o g.h5 --teacher ase:distill.teacher.xtb_program:XTBProgram

g-xTB: Froitzheim, Müller, Hansen, Grimme, ChemRxiv (2025); its authors give out an ``xtb`` that
knows ``--gxtb``. With ``flags="--gfn 2"`` any other ``xtb`` will do.
"""

import os
import re
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import CalculationFailed, Calculator, all_changes

from distill.charge import charge_of, spin_of


class XTBProgram(Calculator):
    """Energy (eV) and forces (eV/Å) of a molecule by a run of ``xtb``.

    flags: the method and other arguments of ``xtb``. command: the program, by its name or path.
    The charge and the multiplicity are those of ``atoms.info``. Each run has a folder of its own
    and one thread, unless OMP_NUM_THREADS says more. Raises CalculationFailed, with the program's
    own words, when it cannot do a geometry.
    """

    implemented_properties = ["energy", "forces"]

    def __init__(self, flags: str = "--gxtb", command: str = "xtb") -> None:
        super().__init__()
        self._command = [command, "molecule.xyz", *shlex.split(flags), "--grad"]

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Any = None,
        system_changes: Any = all_changes,
    ) -> None:
        """Fills ``results``."""
        super().calculate(atoms, properties, system_changes)
        assert atoms is not None
        if atoms.pbc.any():
            raise CalculationFailed("it is periodic, and this is for molecules")
        command = [*self._command, "--chrg", str(charge_of(atoms) or 0)]
        unpaired = (spin_of(atoms) or 1) - 1
        if unpaired:  # with any --uhf, 0 too, g-xTB is unrestricted
            command += ["--uhf", str(unpaired)]
        with tempfile.TemporaryDirectory(prefix="distill-xtb-") as folder:
            ase.io.write(Path(folder) / "molecule.xyz", atoms, format="xyz", fmt="%20.12f")
            try:
                done = subprocess.run(
                    command,
                    cwd=folder,
                    env={"OMP_NUM_THREADS": "1", **os.environ},
                    capture_output=True,
                    text=True,
                    check=False,
                )
            except OSError as error:
                raise CalculationFailed(
                    f"there is no program {command[0]}; put it on PATH, or give its place with "
                    "--teacher-option command=/path/of/xtb"
                ) from error
            result = Path(folder) / "molecule.engrad"
            output = done.stdout + done.stderr
            # an xtb that does not know --gxtb says so, and goes on with GFN2-xTB
            unknown = re.search(r"unknown option '?(--?\w+)", output, re.IGNORECASE)
            if unknown:
                raise CalculationFailed(
                    f"this xtb does not know {unknown[1]}; give a newer one by --teacher-option "
                    "command=/path/of/xtb, or other flags"
                )
            if done.returncode or not result.is_file():
                raise CalculationFailed(_why(output))
            energy, gradient = _read(result.read_text(), len(atoms))
        self.results = {
            "energy": energy * units.Hartree,
            "forces": -gradient * units.Hartree / units.Bohr,
        }


def _read(text: str, atoms: int) -> tuple[float, np.ndarray]:
    """The energy (hartree) and the gradient (N, 3; hartree/bohr) of an ``.engrad`` file."""
    words = [line.strip() for line in text.splitlines() if line.strip() and line.strip()[0] != "#"]
    if int(words[0]) != atoms:
        raise CalculationFailed(f"its result is of {words[0]} atoms, not {atoms}")
    numbers = [float(word) for word in words[1 : 2 + 3 * atoms]]
    return numbers[0], np.array(numbers[1:]).reshape(atoms, 3)


def _why(output: str) -> str:
    """The line in which ``xtb`` says what is wrong."""
    told = re.findall(r"^-\d+- (.*)$|^\s*\|?\s*\^+ (.*)$", output, re.MULTILINE)
    words = [a or b for a, b in told]
    return words[-1] if words else "xtb failed without a reason"
