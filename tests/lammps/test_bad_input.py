"""What users do wrong: one sentence, and an end on all ranks."""

import pickle
from pathlib import Path

import pytest
from ase import Atoms
from ase.build import molecule

from distill.bench.systems import system

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("ranks", [1, 2])]


@pytest.fixture
def liquid() -> Atoms:
    atoms = system(300)
    atoms.wrap()
    return atoms


def refused(lmp, script: str, folder: Path, ranks: int) -> str:
    """The output of a run that must fail, soon."""
    done = lmp.run(script + "run 5\n", folder, ranks)
    assert done.returncode != 0, done.stdout
    return done.stdout


def sentences(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("ERROR from the student")]


def test_unknown_element(lmp, liquid, tmp_path, ranks) -> None:
    script = lmp.setup(liquid, lmp.export("tiny"), tmp_path).replace("* * H C", "* * H Si")
    output = refused(lmp, script, tmp_path, ranks)
    assert any("does not know Si; it knows Br C Cl" in line for line in sentences(output)), output
    assert "Traceback" not in output


def test_no_ghost_neighbours(lmp, liquid, tmp_path, ranks) -> None:
    """One rank does without, but for the virials of atoms."""
    script = lmp.setup(liquid, lmp.export("tiny"), tmp_path, ghosts="0")
    if ranks == 1:
        script += "compute s all stress/atom NULL\ndump d all custom 1 dump id c_s[1]\n"
    output = refused(lmp, script, tmp_path, ranks)
    assert len(sentences(output)) == 1, output
    assert "'pair_style mliap unified FILE 1'" in output


def test_ghosts_not_far_enough(lmp, liquid, tmp_path, ranks) -> None:
    script = lmp.setup(liquid, lmp.export("original"), tmp_path)
    if ranks == 1:
        script += "compute s all stress/atom NULL\ndump d all custom 1 dump id c_s[1]\n"
    output = refused(lmp, script + "comm_modify cutoff 12\n", tmp_path, ranks)
    assert len(sentences(output)) == 1, output
    assert "write 'comm_modify cutoff 17' after pair_style" in output
    # a thicker skin than LAMMPS' default
    output = refused(lmp, script + "neighbor 3.0 bin\n", tmp_path, ranks)
    assert "write 'comm_modify cutoff 18'" in output


def test_units(lmp, liquid, tmp_path, ranks) -> None:
    script = lmp.setup(liquid, lmp.export("tiny"), tmp_path).replace("units metal", "units si")
    output = refused(lmp, script, tmp_path, ranks)
    assert len(sentences(output)) == 1, output
    assert "the input says 'units si'" in output


@pytest.mark.parametrize("version", [0, 99])
def test_file_of_another_version(lmp, liquid, tmp_path, ranks, version) -> None:
    model = pickle.loads(lmp.export("tiny").read_bytes())
    model._state = {**model._state, "format": version}
    file = tmp_path / "other.mliap.pkl"
    file.write_bytes(pickle.dumps(model))
    output = refused(lmp, lmp.setup(liquid, file, tmp_path), tmp_path, ranks)
    assert len(sentences(output)) == 1, output
    assert f"is of format {version} (mlff-distiller" in output
    assert "write it again" in output


def test_overlap_on_one_rank(lmp, tmp_path, ranks) -> None:
    """The other rank waits for it, and must not do so for ever."""
    atoms = molecule("H2O")
    atoms.positions += 3.0
    atoms += Atoms("HH", [[33, 3, 3], [33, 3.1, 3]])
    atoms.set_cell([40, 10, 10])
    output = refused(lmp, lmp.setup(atoms, lmp.export("tiny"), tmp_path), tmp_path, ranks)
    assert "two atoms are 0.10 Å apart" in output
    assert "Traceback" not in output


def test_monte_carlo(lmp, liquid, tmp_path, ranks) -> None:
    """Its fixes make a group, by which they are known; the LAMMPS here lacks them."""
    script = lmp.setup(liquid, lmp.export("tiny"), tmp_path)
    script += "group FixGCMC:gcmc_exclusion_group:mine empty\n"
    output = refused(lmp, script, tmp_path, ranks)
    assert "for fix gcmc, widom or charge/regulation, write 'pair_style distill'" in output
    assert "Traceback" not in output


def test_lost_atoms(lmp, liquid, tmp_path, ranks) -> None:
    """LAMMPS says so itself."""
    liquid.pbc = False
    liquid.center(vacuum=1.0)
    script = lmp.setup(liquid, lmp.export("tiny"), tmp_path)
    script += "velocity all create 90000 1\nfix 1 all nve\nneigh_modify delay 0 every 1\nrun 200\n"
    output = refused(lmp, script, tmp_path, ranks)
    assert "Lost atoms" in output or sentences(output), output


def test_no_such_file(lmp, liquid, tmp_path, ranks) -> None:
    output = refused(lmp, lmp.setup(liquid, Path("nothing.pkl"), tmp_path), tmp_path, ranks)
    assert "No such file" in output and "nothing.pkl" in output


def test_neighbour_overflow(lmp, liquid, tmp_path, ranks) -> None:
    script = lmp.setup(liquid, lmp.export("tiny"), tmp_path) + "neigh_modify one 20 page 1000\n"
    output = refused(lmp, script, tmp_path, ranks)
    assert "Neighbor list overflow, boost neigh_modify one" in output


@pytest.fixture(params=["lmp", "wheel"])
def any_lmp(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("* * FILE H C", "* * FILE H Si", "The student does not know Si; it knows H C N"),
        ("* * FILE H C", "* * FILE H", "an element for each of the 5 atom types"),
        ("* * FILE", "* * nothing", "There is no file nothing: distill export NAME"),
        ("* * FILE", "* * in.test", "in.test is not of this version's format"),
        ("* * FILE", "* * HALF", "half.distill is cut off or damaged: write it again"),
        ("units metal", "units si", "needs 'units metal' or 'units real', not 'si'"),
        ("distill single", "distill half", "'single' (the default) or 'double', not 'half'"),
        ("read_data", "newton off\nread_data", "needs 'newton on'"),
        (
            "run",
            "compute s all stress/atom NULL\ndump d all custom 1 x id c_s[1]\nrun",
            "no virials",
        ),
    ],
)
def test_plugin(any_lmp, liquid, tmp_path, ranks, old, new, sentence) -> None:
    file = any_lmp.export("tiny", style="distill")
    half = tmp_path / "half.distill"
    half.write_bytes(file.read_bytes()[:50_000])
    script = any_lmp.setup(liquid, file, tmp_path) + "run 5\n"
    old, new = (x.replace("FILE", str(file)).replace("HALF", str(half)) for x in (old, new))
    assert old in script
    output = refused(any_lmp, script.replace(old, new), tmp_path, ranks)
    assert sentence in output


def test_overlap_with_plugin(any_lmp, tmp_path, ranks) -> None:
    atoms = molecule("H2O")
    atoms.positions += 3.0
    atoms += Atoms("HH", [[33, 3, 3], [33, 3.1, 3]])
    atoms.set_cell([40, 10, 10])
    file = any_lmp.export("tiny", style="distill")
    output = refused(any_lmp, any_lmp.setup(atoms, file, tmp_path), tmp_path, ranks)
    assert "Atoms 4 and 5 are 0.10" in output or "Atoms 5 and 4 are 0.10" in output


@pytest.mark.parametrize("style", ["mliap", "distill"])
def test_hidden_bonds(lmp, tmp_path, ranks, style) -> None:
    """LAMMPS leaves bonded atoms out of its lists, as it does for force fields."""
    data = """two atoms
2 atoms
1 bonds
5 atom types
1 bond types
0 10 xlo xhi
0 10 ylo yhi
0 10 zlo zhi

Masses

1 1.0
2 12.0
3 14.0
4 16.0
5 35.0

Atoms # bond

1 1 1 3 3 3
2 1 1 3 3 3.8

Bonds

1 1 1 2
"""
    atoms = Atoms("H2", cell=[10.0] * 3, pbc=True)
    script = lmp.setup(atoms, lmp.export("tiny", style=style), tmp_path)
    (tmp_path / "system.data").write_text(data)
    script = script.replace("atom_style atomic", "atom_style bond\nbond_style zero nocoeff")
    script += "bond_coeff *\n"
    output = refused(lmp, script, tmp_path, ranks)
    assert "write 'special_bonds lj/coul 1 1 1'" in output, output
    right = script.replace("read_data", "special_bonds lj/coul 1 1 1\nread_data")
    done = lmp.run(right + "run 0\n", tmp_path, ranks)
    assert done.returncode == 0, done.stdout
