"""``pair_style hybrid`` and its kin: students beside others, against the sum of single runs."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io.lammpsdata import write_lammps_data

from distill.bench.systems import system
from distill_ase import StudentCalculator

pytestmark = pytest.mark.slow

TYPES = ["H", "C", "N", "O", "Cl"]
BAR = 1.6021765e6
"""In eV/Å^3 the other way round, as LAMMPS has it."""
STYLES = {
    # name: pair_style, what follows pair_coeff * *
    "ut": ("distill double", "ultra-tiny H C N O Cl"),
    "uts": ("distill", "ultra-tiny H C N O Cl"),
    "o": ("distill double", "original H C N O Cl"),
    "os": ("distill single", "original H C N O Cl"),
    "lj": ("lj/cut 8.0", "0.05 0.8"),
    "zero": ("zero 8.0", ""),
    "d3": ("dispersion/d3 bj pbe 12.0 8.0", "H C N O Cl"),
}
MIXTURES: dict[str, dict[str, float]] = {
    "hybrid": {"ut": 1},
    "hybrid/overlay": {"ut": 1, "lj": 1},
    "hybrid/overlay 2": {"lj": 1, "uts": 1},
    "hybrid/overlay 3": {"ut": 1, "zero": 1},
    "hybrid/overlay 4": {"ut": 1, "d3": 1},
    "hybrid/overlay 5": {"d3": 1, "os": 1},
    "hybrid/overlay 6": {"uts": 1, "o": 1},  # of different width and precision
    "hybrid/overlay 7": {"os": 1, "lj": 1, "ut": 1},
    "hybrid/overlay 8": {"ut": 2},  # the same one twice
    "hybrid/scaled": {"ut": 0.3, "lj": 0.7},
    "hybrid/scaled 2": {"o": 0.25, "uts": 0.75},
}


class Point(NamedTuple):
    """energy; pressures (6,) in bar; rows (N, 4): energies of atoms, forces."""

    energy: float
    pressures: np.ndarray
    rows: np.ndarray


class Case(NamedTuple):
    """A single run or a mixture: lines of the input."""

    name: str
    pair: str


def lines(file_of: Callable[[str], Path], mixture: str, parts: dict[str, float]) -> str:
    """``pair_style`` and ``pair_coeff`` of a mixture."""
    names = [name for name, weight in parts.items() for _ in range(2 if weight == 2 else 1)]
    style, coefficients = mixture.split()[0], ""
    kinds = [STYLES[name][0].split()[0] for name in names]
    words = []
    for k, name in enumerate(names):
        kind = kinds[k]
        scale = f"{parts[name]} " if style == "hybrid/scaled" else ""
        words.append(scale + STYLES[name][0])
        index = f"{kinds[:k].count(kind) + 1}" if kinds.count(kind) > 1 else ""
        coefficients += f"pair_coeff * * {kind} {index} {rest(file_of, name)}\n"
    return f"pair_style {style} {' '.join(words)}\n{coefficients}"


def rest(file_of: Callable[[str], Path], name: str) -> str:
    """What follows ``pair_coeff * *``."""
    first, _, more = STYLES[name][1].partition(" ")
    return f"{file_of(first)} {more}" if "distill" in STYLES[name][0] else STYLES[name][1]


def points(lmp, atoms: Atoms, cases: list[Case], folder: Path, ranks: int) -> dict[str, Point]:
    """Of all in one process, each followed by some MD with new neighbour lists."""
    write_lammps_data(folder / "x.data", atoms, specorder=TYPES, masses=True, atom_style="atomic")
    script = "".join(
        "clear\nunits metal\natom_style atomic\nboundary p p p\nread_data x.data\n"
        f"{case.pair}compute pe all pe/atom\n"
        "thermo_style custom step pe pxx pyy pzz pyz pxz pxy\n"
        f"dump d all custom 1 {k}.dump id c_pe fx fy fz\n"
        "dump_modify d sort id format float %.17g\nrun 0\n"
        f'print "POINT $(pe:%.12f) $(pxx:%.9f) $(pyy:%.9f) $(pzz:%.9f) $(pyz:%.9f) $(pxz:%.9f) '
        '$(pxy:%.9f)"\nundump d\nfix 1 all nve\ntimestep 0.0005\n'
        "neigh_modify every 2 delay 0 check no\nrun 4\n"
        for k, case in enumerate(cases)
    )
    done = lmp.run(script, folder, ranks)
    assert done.returncode == 0, done.stdout[-3000:]
    found = re.findall("^POINT (.*)$", done.stdout, re.M)
    assert len(found) == len(cases)
    result = {}
    for k, (case, line) in enumerate(zip(cases, found)):
        numbers = np.array([float(x) for x in line.split()])
        rows = np.loadtxt(folder / f"{k}.dump", skiprows=9)[:, 1:]
        result[case.name] = Point(numbers[0], numbers[1:], rows)
    return result


@pytest.mark.parametrize("ranks", [1, 2])
def test_sums(wheel, tmp_path, ranks) -> None:
    atoms = system(100)
    atoms.rattle(0.03, seed=1)
    atoms.wrap()

    def file_of(student: str) -> Path:
        return wheel.export(student, style="distill")

    single = [
        Case(name, f"pair_style {style}\npair_coeff * * {rest(file_of, name)}\n")
        for name, (style, _) in STYLES.items()
    ]
    mixed = [Case(name, lines(file_of, name, parts)) for name, parts in MIXTURES.items()]
    found = points(wheel, atoms, single + mixed, tmp_path, ranks)
    # not only beside each other: one of them against ASE
    atoms.calc = StudentCalculator("ultra-tiny", dtype="float64")
    assert found["ut"].energy == pytest.approx(atoms.get_potential_energy(), abs=1e-8)
    np.testing.assert_allclose(found["ut"].rows[:, 1:], atoms.get_forces(), atol=1e-9)
    assert np.abs(found["lj"].rows[:, 1:]).max() > 0.1 < np.abs(found["d3"].energy)
    for name, parts in MIXTURES.items():
        point = found[name]
        double = not set(parts) & {"uts", "os"}
        digits = 1e-8 if double else 1e-4
        energy, pressures, rows = (
            sum(weight * found[part][k] for part, weight in parts.items()) for k in range(3)
        )
        assert point.energy == pytest.approx(energy, abs=digits), name
        np.testing.assert_allclose(point.rows, rows, rtol=0, atol=digits, err_msg=name)
        pressure = 1e-6 if double else 0.1
        np.testing.assert_allclose(point.pressures, pressures, atol=pressure, err_msg=name)


@pytest.mark.parametrize("ranks", [1, 2])
def test_pair_style_again(wheel, tmp_path, ranks) -> None:
    """LAMMPS keeps the pair style, and with it the student: in the new precision."""
    atoms = system(100)
    atoms.wrap()
    write_lammps_data(tmp_path / "x.data", atoms, specorder=TYPES, masses=True, atom_style="atomic")
    file = wheel.export("ultra-tiny", style="distill")
    precisions = ["single", "double", "single", "double"]
    done = wheel.run(
        "units metal\natom_style atomic\nread_data x.data\npair_style distill single\n"
        f"pair_coeff * * {file} H C N O Cl\nthermo_style custom step pe pxx\n"
        + "".join(
            f'pair_style distill {precision}\nrun 0\nprint "POINT $(pe:%.12f) $(pxx:%.9f)"\n'
            for precision in precisions
        ),
        tmp_path,
        ranks,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    found = np.array([x.split() for x in re.findall("^POINT (.*)$", done.stdout, re.M)], float)
    atoms.calc = StudentCalculator("ultra-tiny", dtype="float64")
    exact = atoms.get_potential_energy()
    np.testing.assert_allclose(found[1::2, 0], exact, rtol=0, atol=1e-8)
    np.testing.assert_allclose(found[::2, 0], exact, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found[:, 1], found[1, 1], rtol=0, atol=1.0)
    assert (found[0] != found[1]).all()  # they were two precisions


@pytest.fixture
def solution() -> Atoms:
    """Ethanol in something like a noble gas, which stands as Cl."""
    rng = np.random.default_rng(1)
    atoms = molecule("CH3CH2OH")
    atoms.set_cell([14.0] * 3)
    atoms.center()
    atoms.pbc = True
    while len(atoms) < 39:
        more = atoms + Atoms("Cl", [rng.uniform(0, 14, 3)])
        if more.get_distances(-1, range(len(atoms)), mic=True).min() > 3:
            atoms = more
    return atoms


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("style", ["hybrid", "hybrid/overlay"])
def test_a_part_of_the_system(wheel, tmp_path, solution, ranks, style) -> None:
    """Types mapped to NULL are another style's: neither energies nor forces of the student."""
    file = wheel.export("ultra-tiny", style="distill")
    other = "pair_coeff * 5 lj/cut 0.01 3.0\n"
    cases = [
        Case(
            "both",
            f"pair_style {style} distill double lj/cut 6\n"
            f"pair_coeff * * distill {file} H C N O NULL\n{other}",
        ),
        Case("other", f"pair_style hybrid zero 6 lj/cut 6\npair_coeff * * zero\n{other}"),
    ]
    both, alone = points(wheel, solution, cases, tmp_path, ranks).values()
    ethanol = solution[:9]
    ethanol.calc = StudentCalculator("ultra-tiny", dtype="float64")
    assert both.energy == pytest.approx(alone.energy + ethanol.get_potential_energy(), abs=1e-8)
    expected = alone.rows.copy()
    expected[:9, 0] += ethanol.get_potential_energies()
    expected[:9, 1:] += ethanol.get_forces()
    np.testing.assert_allclose(both.rows, expected, atol=1e-9)
    stress = alone.pressures - ethanol.get_stress() * BAR
    np.testing.assert_allclose(both.pressures, stress, atol=1e-4)


@pytest.mark.parametrize("ranks", [1, 2])
def test_beside_a_style_that_adds_up_its_own_virial(wheel, tmp_path, ranks) -> None:
    """LAMMPS then asks the student for its own, too."""
    file = wheel.export("ultra-tiny", style="distill")
    water = molecule("H2O")
    water.positions += 6
    more = water.copy()
    more.positions[:, 1] += 3
    atoms = water + more
    atoms.set_cell([12.0] * 3)
    atoms.pbc = True
    places = "".join(
        f"create_atoms {1 if atom.symbol == 'O' else 2} single {x} {y} {z}\n"
        for atom, (x, y, z) in zip(atoms, atoms.positions)
    )
    script = (
        "units metal\natom_style sphere\nboundary p p p\ncomm_modify vel yes\n"
        f"region box block 0 12 0 12 0 12\ncreate_box 2 box\n{places}"
        "set type * diameter 0.1\nset type 1 mass 16\nset type 2 mass 1\n"
        # grains that do not touch: no energies
        "pair_style hybrid/overlay distill double gran/hooke/history 1 NULL 1 NULL 0 0\n"
        f"pair_coeff * * distill {file} O H\npair_coeff * * gran/hooke/history\n"
        "thermo_style custom step pe pxx pyy pzz pyz pxz pxy\nrun 0\n"
        'print "POINT $(pxx:%.6f) $(pyy:%.6f) $(pzz:%.6f) $(pyz:%.6f) $(pxz:%.6f) $(pxy:%.6f)"\n'
    )
    done = wheel.run(script, tmp_path, ranks)
    assert done.returncode == 0, done.stdout[-3000:]
    found = [float(x) for x in re.search("^POINT (.*)$", done.stdout, re.M)[1].split()]
    atoms.calc = StudentCalculator("ultra-tiny", dtype="float64")
    np.testing.assert_allclose(found, -atoms.get_stress() * BAR, atol=1e-4)


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        (
            "hybrid distill lj/cut 6\npair_coeff * * distill FILE H C N O Cl\n"
            "pair_coeff 1 2 lj/cut 0.01 3.0",
            "has types 1 and 2, but another style has their pairs",
        ),
        (
            "distill\npair_coeff * * FILE H C N O NULL",
            "needs an element for type 5; NULL is for pair_style hybrid",
        ),
        (
            "hybrid/overlay distill lj/cut 6\npair_coeff * * distill FILE H Si N O Cl\n"
            "pair_coeff * * lj/cut 0.0 3.0",
            "does not know Si; it knows H C N",
        ),
    ],
)
@pytest.mark.parametrize("ranks", [1, 2])
def test_refused(wheel, tmp_path, solution, ranks, pair, sentence) -> None:
    file = wheel.export("ultra-tiny", style="distill")
    script = wheel.setup(solution, file, tmp_path)
    script = script[: script.index("pair_style")] + "pair_style " + pair.replace("FILE", str(file))
    done = wheel.run(script + "\nrun 1\n", tmp_path, ranks)
    assert done.returncode != 0
    assert sentence in done.stdout, done.stdout


def test_elements_without_atoms(wheel, tmp_path, solution) -> None:
    """Types of a data file that the student does not know are no matter when no atom has them."""
    file = wheel.export("ultra-tiny", "float64", "distill")
    atoms = solution[:9]
    script = wheel.setup(atoms, file, tmp_path).replace(" N O Cl", " Si O Xe")
    done = wheel.run(script + 'run 0\nprint "POINT $(pe:%.9f)"\n', tmp_path)
    assert done.returncode == 0, done.stdout
    atoms.calc = StudentCalculator("ultra-tiny", dtype="float64")
    found = float(re.search("^POINT (.*)$", done.stdout, re.M)[1])
    assert found == pytest.approx(atoms.get_potential_energy(), abs=1e-8)
