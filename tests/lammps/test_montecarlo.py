"""Monte Carlo in LAMMPS: geometries that are only tried, atoms taken out, types that change."""

import re
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule

from distill.bench.systems import system
from distill_ase import StudentCalculator

pytestmark = pytest.mark.slow

TYPES = ["H", "C", "N", "O", "Cl"]


@pytest.fixture
def liquid() -> Atoms:
    atoms = system(100)
    atoms.wrap()
    return atoms


def output_of(lmp, script: str, folder: Path, ranks: int = 1) -> str:
    done = lmp.run(script, folder, ranks)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def energies(output: str) -> np.ndarray:
    """After 'ENERGIES'."""
    return np.array([float(x) for x in re.search("^ENERGIES (.*)$", output, re.M)[1].split()])


def last_frame(file: Path, cell) -> Atoms:
    """Of a dump with types, by the order of atoms' numbers."""
    rows = np.loadtxt(file, skiprows=9, ndmin=2)
    symbols = [TYPES[int(kind) - 1] for kind in rows[:, 1]]
    return Atoms(symbols, rows[:, 2:5], cell=cell, pbc=True)


def exact(atoms: Atoms) -> float:
    atoms.calc = StudentCalculator("ultra-tiny", dtype="float64")
    return atoms.get_potential_energy()


@pytest.mark.parametrize("ranks", [1, 2])
def test_an_excluded_atom_is_not_there(wheel, liquid, tmp_path, ranks) -> None:
    """As fix gcmc tries a deletion; and by types."""
    liquid.numbers[7] = 17
    script = wheel.setup(
        liquid, wheel.export("ultra-tiny", "float64", "distill"), tmp_path
    ) + (
        "group one id 8\nneigh_modify exclude group one all\ncompute atoms all pe/atom\n"
        "thermo_style custom step pe\nrun 0\n"
        "variable first equal $(pe)\nneigh_modify exclude none\n"
        + "".join(f"neigh_modify exclude type {k + 1} 5\n" for k in range(5))
        + 'run 0\nprint "ENERGIES ${first} $(pe)"\n'
    )  # fmt: skip
    expected = exact(liquid[[k for k in range(len(liquid)) if k != 7]])
    np.testing.assert_allclose(
        energies(output_of(wheel, script, tmp_path, ranks)), expected, atol=1e-7
    )


@pytest.mark.parametrize("exclude", ["group some some", "type 1 1", "molecule/intra some"])
def test_hidden_neighbours_are_refused(wheel, liquid, tmp_path, exclude) -> None:
    script = wheel.setup(liquid, wheel.export("ultra-tiny", "float64", "distill"), tmp_path)
    if "molecule" in exclude:
        script = script.replace("read_data", "fix m all property/atom mol\nread_data")
    script += f"group some type 1 4\nneigh_modify exclude {exclude}\nrun 0\n"
    done = wheel.run(script, tmp_path)
    assert "'neigh_modify exclude' hides neighbors from the student" in done.stdout


MOLECULES = """two waters
6 atoms
5 atom types
0 12 xlo xhi
0 12 ylo yhi
0 12 zlo zhi

Masses

1 1.008
2 12.011
3 14.007
4 15.999
5 35.45

Atoms # bond

"""


@pytest.mark.parametrize("ranks", [1, 2])
def test_molecules_excluded_from_each_other(wheel, tmp_path, ranks) -> None:
    """Each as if it were alone."""
    water = molecule("H2O")
    water.positions += 4
    more = water.copy()
    more.positions[:, 1] += 2.2
    atoms = water + more
    rows = [
        f"{k} {(k + 2) // 3} {TYPES.index(atom.symbol) + 1} {x} {y} {z}"
        for k, (atom, (x, y, z)) in enumerate(zip(atoms, atoms.positions), start=1)
    ]
    (tmp_path / "two.data").write_text(MOLECULES + "\n".join(rows) + "\n")
    file = wheel.export("ultra-tiny", style="distill")
    script = (
        "units metal\natom_style bond\nboundary p p p\nread_data two.data\n"
        f"pair_style distill double\npair_coeff * * {file} H C N O Cl\n"
        "neigh_modify exclude molecule/inter all\n"
        'thermo_style custom step pe\nrun 0\nprint "ENERGIES $(pe:%.9f)"\n'
    )
    (found,) = energies(output_of(wheel, script, tmp_path, ranks))
    water.calc = StudentCalculator("ultra-tiny", dtype="float64")
    assert found == pytest.approx(2 * water.get_potential_energy(), abs=1e-8)


@pytest.mark.parametrize("ranks", [1, 2])
def test_insertions_that_overlap(wheel, liquid, tmp_path, ranks) -> None:
    """Refused as trials; the energy that goes on is that of what is there."""
    file = wheel.export("ultra-tiny", "float64", "distill")
    script = wheel.setup(liquid, file, tmp_path) + (
        "group new type 1\nthermo_style custom step atoms pe\n"
        "compute_modify thermo_temp dynamic/dof yes\n"
        # cold, and so that each insertion that is not an overlap gains: the liquid is filled with H
        "fix mc new gcmc 1 20 0 1 29494 300 0.0 0.1 full_energy\nthermo 1\nrun 2\n"
        "dump d all custom 1 end.dump id type x y z\ndump_modify d sort id format float %.17g\n"
        'run 0\nprint "ENERGIES $(pe:%.9f) $(atoms) $(f_mc[4])"\n'
    )
    found, count, _ = energies(output_of(wheel, script, tmp_path, ranks))
    frame = last_frame(tmp_path / "end.dump", liquid.cell)
    assert count == len(frame) > len(liquid)
    assert found == pytest.approx(exact(frame), abs=1e-6)


def test_overlap_in_md_is_told_beside_monte_carlo(wheel, tmp_path) -> None:
    """Atoms that were there before are no trial."""
    atoms = molecule("H2O")
    atoms.positions += 3.0
    atoms += Atoms("HH", [[8, 8, 8], [8, 8.1, 8]])
    atoms.set_cell([12] * 3)
    atoms.pbc = True
    script = wheel.setup(atoms, wheel.export("ultra-tiny", style="distill"), tmp_path)
    script += "group new type 1\nfix mc new gcmc 100 1 0 1 29494 300 0.0 0.1 full_energy\n"
    for run in ("fix 1 all nve\nrun 5\n", "run 0\n"):
        done = wheel.run(script + run, tmp_path)
        assert done.returncode != 0
        assert re.search(r"Atoms (4 and 5|5 and 4) are 0\.10 A apart", done.stdout), done.stdout


@pytest.mark.parametrize("ranks", [1, 2])
def test_ideal_gas(wheel, tmp_path, ranks) -> None:
    """Atoms that hardly meet: as many as the chemical potential says, where insertions and
    deletions count the same energies."""
    temperature, box, wanted = 50_000.0, 60.0, 8.0
    one = Atoms("H", cell=[box] * 3, pbc=True)
    kt = units.kB * temperature
    # de Broglie's wavelength in Å, of what LAMMPS takes H to weigh
    wavelength = (
        units._hplanck / np.sqrt(2 * np.pi * 1.008 * units._amu * units._k * temperature) * 1e10
    )
    mu = exact(one) + kt * np.log(wanted * wavelength**3 / box**3)
    script = wheel.setup(one, wheel.export("ultra-tiny", style="distill"), tmp_path) + (
        "mass 1 1.008\ngroup new type 1\ncompute_modify thermo_temp dynamic/dof yes\n"
        f"fix mc new gcmc 1 20 0 1 29494 {temperature} {mu:.9f} 0.1 full_energy\n"
        "variable n equal atoms\nfix mean all ave/time 1 540 600 v_n file mean.txt\n"
        "run 600\n"
    )
    output_of(wheel, script, tmp_path, ranks)
    mean = np.loadtxt(tmp_path / "mean.txt")[-1]
    assert mean == pytest.approx(wanted, abs=2.0)


def test_widom(wheel, liquid, tmp_path) -> None:
    """Trial insertions of which many overlap."""
    script = wheel.setup(liquid, wheel.export("ultra-tiny", "float64", "distill"), tmp_path) + (
        "group new type 1\nfix w all widom 1 200 1 29494 300 full_energy\nrun 1\n"
        'print "ENERGIES $(f_w[1]) $(f_w[2]) $(pe)"\n'
    )
    excess, weight, energy = energies(output_of(wheel, script, tmp_path))
    assert np.isfinite([excess, weight]).all() and weight > 0
    assert energy == pytest.approx(exact(liquid), abs=1e-6)


@pytest.mark.parametrize("ranks", [1, 2])
def test_swaps(wheel, tmp_path, liquid, ranks) -> None:
    """Types that change without a new neighbour list."""
    script = wheel.setup(liquid, wheel.export("ultra-tiny", "float64", "distill"), tmp_path) + (
        "fix s all atom/swap 1 20 29494 1e6 ke no types 1 4\n"
        "neigh_modify every 100 delay 100\nrun 5\nunfix s\n"
        "dump d all custom 1 end.dump id type x y z\ndump_modify d sort id format float %.17g\n"
        'run 0\nprint "ENERGIES $(pe:%.9f)"\n'
    )
    (found,) = energies(output_of(wheel, script, tmp_path, ranks))
    frame = last_frame(tmp_path / "end.dump", liquid.cell)
    assert (frame.numbers != liquid.numbers).any()
    assert found == pytest.approx(exact(frame), abs=1e-6)
