"""Whether a LAMMPS that is there already takes students: it is given one, and must be right."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from distill_lammps.build import search_path
from distill_lammps.environment import for_subprocess
from distill_lammps.export import export_mliap

WATER = """units metal
atom_style atomic
boundary f f f
region box block -9 9 -9 9 -9 9
create_box 2 box
create_atoms 1 single 0 0 0.119
create_atoms 2 single 0 0.763 -0.477
create_atoms 2 single 0 -0.763 -0.477
mass 1 15.999
mass 2 1.008
pair_style mliap unified {file} 1
pair_coeff * * O H
run 0
variable energy equal pe
print "energy of water: ${{energy}}"
"""
REASONS = {
    "Unrecognized pair style 'mliap'": "it was built without the ML-IAP package",
    "Unknown pair style": "it was built without the ML-IAP package",
    "requires ML-IAP with python support": "it was built without MLIAP_ENABLE_PYTHON",
    "No module named 'lammps'": "its Python module 'lammps' is not on the PYTHONPATH",
    "No module named": "its Python is not the one that runs this command",
}


def why_not(lmp: str, place: Path | None = None) -> str:
    """Why an ``lmp`` cannot run students; empty when it can. place: as for `environment`."""
    with tempfile.TemporaryDirectory() as name:
        file, script = Path(name) / "water.mliap.pkl", Path(name) / "in.water"
        export_mliap("ultra-tiny", file)
        script.write_text(WATER.format(file=file))
        try:
            done = subprocess.run(
                [lmp, "-in", str(script), "-log", "none"], env=for_subprocess(place),
                capture_output=True, text=True, timeout=300,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"it does not run ({error})"
    output = done.stdout + done.stderr
    for sign, reason in REASONS.items():
        if sign in output:
            return reason
    found = [line for line in output.splitlines() if line.startswith("energy of water:")]
    if not found:
        lines = [line for line in output.splitlines() if "ERROR" in line] or output.splitlines()
        return f"it fails: {lines[0] if lines else 'it says nothing'}"
    energy, expected = float(found[0].split(":")[1]), water_energy()
    if abs(energy - expected) > 1e-4:
        return f"its energy of water is {energy:.5f} eV where {expected:.5f} eV is right"
    return ""


def water_energy() -> float:
    """Of the molecule in WATER, without LAMMPS."""
    from ase import Atoms

    from distill.kernels import KernelStudent
    from distill.student import load_student

    positions = [[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]]
    atoms = Atoms("OHH", positions)
    kernel = KernelStudent(load_student("ultra-tiny"), "float64")
    return float(kernel.evaluate(atoms.positions, atoms.numbers).energies.sum())


def on_path() -> str | None:
    """An ``lmp`` of the user's: PyPI's beside this Python, or on the PATH."""
    return shutil.which("lmp", path=search_path())
