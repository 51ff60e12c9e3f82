"""The xTB teachers against tblite's own ASE calculator, finite differences and known numbers."""

import pickle

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.units import Hartree
from tblite.ase import TBLite

from distill.errors import DistillError
from distill.teacher import TeacherSpec, load_teacher, teacher_names


def shaken(name: str, rng: np.random.Generator) -> Atoms:
    atoms = molecule(name)
    atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
    return atoms


@pytest.mark.parametrize(("name", "method"), [("gfn2-xtb", "GFN2-xTB"), ("gfn1-xtb", "GFN1-xTB")])
def test_labels_are_those_of_tblite(name: str, method: str, rng: np.random.Generator) -> None:
    geometries = [shaken(m, rng) for m in ("CH3CH2OH", "CH3CH2OH", "H2O", "CH3SH", "CH3CH2OH")]
    labels = load_teacher(name).label(geometries)
    for atoms, label in zip(geometries, labels, strict=True):
        atoms.calc = TBLite(method=method, verbosity=0)
        assert label.error is None
        assert label.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-5)
        assert label.forces == pytest.approx(atoms.get_forces(), abs=1e-4)
        assert label.stress is None


def test_energy_of_water_is_the_published_one() -> None:
    label = load_teacher("gfn2-xtb").label([molecule("H2O")])[0]
    assert label.energy / Hartree == pytest.approx(-5.0705, abs=1e-3)


def test_forces_are_the_derivative_of_the_energy(rng: np.random.Generator) -> None:
    teacher = load_teacher("gfn2-xtb", options={"accuracy": "0.01"})
    atoms, step = shaken("CH3OH", rng), 1e-3
    moved = []
    for sign in (1, -1):
        other = atoms.copy()
        other.positions[1, 2] += sign * step
        moved.append(other)
    here, plus, minus = teacher.label([atoms, *moved])
    assert here.forces[1, 2] == pytest.approx(-(plus.energy - minus.energy) / (2 * step), abs=1e-4)


def test_charge_and_multiplicity_are_used() -> None:
    teacher = load_teacher("gfn2-xtb")
    ion, radical = molecule("OH"), molecule("CH3")
    ion.set_initial_magnetic_moments(None)
    ion.info["charge"] = -1
    radical.info["spin"] = 2
    labels = teacher.label([ion, radical])
    ion.calc = TBLite(method="GFN2-xTB", charge=-1, verbosity=0)
    radical.calc = TBLite(method="GFN2-xTB", multiplicity=2, verbosity=0)
    for atoms, label in zip((ion, radical), labels, strict=True):
        assert label.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-5)


def test_stress_of_a_crystal_is_the_derivative_of_its_energy() -> None:
    teacher = load_teacher("gfn1-xtb", options={"accuracy": "0.01"})
    atoms = molecule("CH4", cell=np.diag([4.5, 4.6, 4.7]), pbc=True)
    step, stretched = 1e-3, []
    for sign in (1, -1):
        other = atoms.copy()
        strain = np.eye(3)
        strain[0, 0] += sign * step
        other.set_cell(atoms.cell @ strain, scale_atoms=True)
        stretched.append(other)
    here, plus, minus = teacher.label([atoms, *stretched])
    assert here.stress is not None
    expected = (plus.energy - minus.energy) / (2 * step) / atoms.get_volume()
    assert here.stress[0, 0] == pytest.approx(expected, abs=1e-4)


def test_a_geometry_that_does_not_converge_says_so() -> None:
    label = load_teacher("gfn2-xtb", options={"max-iterations": "1"}).label([molecule("CH3OH")])[0]
    assert label.error
    assert np.isnan(label.energy)
    assert np.isnan(label.forces).all() and label.forces.shape == (6, 3)


def test_a_failure_leaves_the_next_geometry_alone() -> None:
    good, bad = molecule("H2O"), molecule("H2O")
    bad.positions[1] = bad.positions[0]
    first, failed, third = load_teacher("gfn2-xtb").label([good, bad, good])
    assert failed.error
    assert third.error is None
    assert third.energy == pytest.approx(first.energy, abs=1e-8)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("gfn3-xtb", {}, "gfn2-xtb, gfn1-xtb"),
        ("gfn2-xtb", {"acuracy": "1"}, "accuracy"),
        ("gfn2-xtb", {"accuracy": "high"}, "must be a number"),
    ],
)
def test_a_wrong_name_or_option_is_refused(name: str, options: dict[str, str], words: str) -> None:
    with pytest.raises(DistillError, match=words):
        load_teacher(name, options=options)


def test_weights_are_refused(tmp_path) -> None:
    with pytest.raises(DistillError, match="no weights"):
        load_teacher("gfn2-xtb", weights=tmp_path / "weights.ckpt")


def test_the_recipe_travels_to_other_processes() -> None:
    spec = pickle.loads(pickle.dumps(TeacherSpec("gfn1-xtb", options={"accuracy": "0.5"})))
    teacher = spec.load()
    assert (teacher.name, teacher.conservative) == ("gfn1-xtb", True)
    assert "0.5" in spec.settings
    assert "gfn1-xtb" in teacher_names()
