"""Any ASE calculator as a teacher, against ASE itself and against the xTB teacher."""

import importlib
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms

from distill.errors import DistillError
from distill.teacher.from_ase import ASETeacher
from distill.teacher.xtb import XTBTeacher

LJ = "ase:ase.calculators.lj:LennardJones"
OWN_MODULE = '''
from ase.calculators.calculator import CalculationFailed, Calculator, all_changes

calls = []

class Moody(Calculator):
    """Harmonic about the origin; fails for helium and stays broken after that."""

    implemented_properties = ["energy", "forces"]
    broken = False

    def __init__(self, k, **kwargs):
        super().__init__(**kwargs)
        self.k = k
        calls.append((k, type(k)))

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.broken = self.broken or "He" in atoms.symbols
        if self.broken:
            raise CalculationFailed("did not converge")
        energy = 0.5 * self.k * (atoms.positions ** 2).sum() + atoms.info["charge"]
        self.results = {"energy": energy, "forces": -self.k * atoms.positions}

def nothing():
    return 3
'''


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "moody_calculator.py").write_text(OWN_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "moody_calculator", raising=False)
    return "moody_calculator"


def test_labels_equal_the_calculator_in_ase(rng: np.random.Generator) -> None:
    crystal = bulk("Cu", cubic=True)
    crystal.positions += rng.normal(0.0, 0.05, crystal.positions.shape)
    crystal.set_constraint(FixAtoms([0]))  # must not touch the labels
    cluster = Atoms("CuAu2", [[0, 0, 0], [2.5, 0.1, 0], [0, 2.6, 0.2]])
    teacher = ASETeacher("ase:ase.calculators.emt:EMT")
    labels = teacher.label([crystal, cluster])
    for label, atoms in zip(labels, (crystal, cluster), strict=True):
        direct = atoms.copy()
        direct.set_constraint()
        direct.calc = EMT()
        assert label.error is None
        assert label.energy == pytest.approx(direct.get_potential_energy(), abs=1e-12)
        np.testing.assert_allclose(label.forces, direct.get_forces(), atol=1e-12)
    assert labels[0].forces[0].any()
    crystal.calc = EMT()
    assert labels[0].stress is not None
    np.testing.assert_allclose(labels[0].stress, crystal.get_stress(voigt=False), atol=1e-12)
    assert labels[1].stress is None
    assert teacher.conservative
    assert teacher.version == f"ase {version('ase')}"


def test_options_reach_the_calculator_as_python_values() -> None:
    pair = Atoms("Ar2", [[0, 0, 0], [3.9, 0, 0]])
    teacher = ASETeacher(LJ, {"sigma": "3.4", "epsilon": "0.0104", "rc": "8", "smooth": "false"})
    pair.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=8, smooth=False)
    assert teacher.label([pair])[0].energy == pytest.approx(pair.get_potential_energy(), abs=1e-15)
    assert ASETeacher(LJ).label([pair])[0].energy != pair.get_potential_energy()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2.5", 2.5),
        ("(2, 2, 1)", (2, 2, 1)),
        ("GFN2-xTB", "GFN2-xTB"),
        ("True", True),
        ("1e", "1e"),
    ],
)
def test_option_text_becomes_a_literal_or_stays_text(
    own_module: str, text: str, value: object
) -> None:
    ASETeacher(f"ase:{own_module}:Moody", {"k": text})
    assert importlib.import_module(own_module).calls[-1] == (value, type(value))


def test_tblite_through_ase_equals_the_xtb_teacher(rng: np.random.Generator) -> None:
    acetate = molecule("CH3COOH")
    del acetate[[atom.index for atom in acetate if atom.symbol == "H"][-1]]
    acetate.info["charge"] = -1
    ions = [molecule("H2O"), acetate, molecule("CH3"), molecule("CH4")]
    ions[2].info.update(charge=1, spin=1)
    ions[3].info.update(spin=3)
    for atoms in ions:
        atoms.set_initial_magnetic_moments(None)  # ASE's radicals bring their own
        atoms.positions += rng.normal(0.0, 0.03, atoms.positions.shape)
    theirs = ASETeacher("ase:tblite.ase:TBLite", {"method": "GFN2-xTB", "verbosity": "0"})
    assert theirs.version == f"tblite {version('tblite')}"
    for ours, other in zip(XTBTeacher().label(ions), theirs.label(ions), strict=True):
        assert ours.error is None and other.error is None
        # both stop their self-consistency at an accuracy of 1e-6 hartree
        assert other.energy == pytest.approx(ours.energy, abs=1e-4)
        np.testing.assert_allclose(other.forces, ours.forces, atol=2e-4)


def test_a_failure_is_recorded_and_the_next_geometry_gets_a_fresh_calculator(
    own_module: str,
) -> None:
    teacher = ASETeacher(f"ase:{own_module}:Moody", {"k": "2.0"})
    nan = Atoms("H", [[np.nan, 0, 0]])
    charged = Atoms("H", [[1, 0, 0]], info={"charge": 1})
    periodic = Atoms("H", [[1, 0, 0]], cell=[5, 5, 5], pbc=True)
    good, failed, after, not_a_number, crystal = teacher.label(
        [Atoms("H", [[1, 0, 0]]), Atoms("He"), charged, nan, periodic]
    )
    assert good.error is None
    assert failed.error == f"ase:{own_module}:Moody: did not converge"
    assert np.isnan(failed.energy) and failed.forces.shape == (1, 3)
    assert after.energy == pytest.approx(good.energy + 1)
    assert "not finite" in str(not_a_number.error)
    assert crystal.error is None and crystal.stress is None  # it has none to give
    assert "version unknown" in teacher.version


def test_an_element_the_calculator_lacks_is_named() -> None:
    (label,) = ASETeacher("ase:ase.calculators.emt:EMT").label([Atoms("Xe")])
    assert label.error == "ase:ase.calculators.emt:EMT: No EMT-potential for Xe"


@pytest.mark.parametrize(
    ("spec", "options", "match"),
    [
        ("ase:ase.calculators.emt.EMT", {}, "write ase:package.module:Class"),
        ("ase:no_such_package.calc:Calc", {}, "cannot be imported .*PYTHONPATH"),
        ("ase:ase.calculators.emt:EMTT", {}, "has no class 'EMTT'"),
        ("ase:ase.calculators.emt:parameters", {}, "has no class 'parameters'"),
        ("ase:moody_calculator:Moody", {}, "no options .*'k'.*--teacher-option key=value"),
        ("ase:tblite.ase:TBLite", {"charge": "x", "atoms": "y"}, "charge='x'.*--teacher-option"),
        ("ase:moody_calculator:nothing", {}, "is no ASE calculator but makes a int"),
    ],
)
def test_bad_input_gives_one_sentence(
    own_module: str, spec: str, options: dict[str, str], match: str
) -> None:
    with pytest.raises(DistillError, match=match):
        ASETeacher(spec, options)


def test_an_option_that_would_be_ignored_gives_a_warning() -> None:
    with pytest.warns(UserWarning, match="does not list 'methode'"):
        ASETeacher("ase:tblite.ase:TBLite", {"methode": "GFN1-xTB"})
