"""Any ASE calculator as a teacher, against ASE itself and against the xTB teacher."""

import importlib
import signal
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
from distill.teacher.base import TeacherSpec
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
        ("ase:ase.calculators.emt:EMTT", {}, "has no .EMTT.; check"),
        ("ase:ase.calculators.emt:parameters", {}, "is no class or function"),
        ("ase:moody_calculator:Moody", {}, "no options .*'k'.*--teacher-option key=value"),
        ("ase:tblite.ase:TBLite", {"charge": "x", "atoms": "y"}, "charge=x.*--teacher-option"),
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


STRANGE = '''
import sys, time
from ase.calculators.calculator import Calculator, all_changes
import numpy as np


class Strange(Calculator):
    """Gives what the geometry's info says, or does it."""

    implemented_properties = ["energy", "forces", "stress"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        n = len(atoms)
        good = {"energy": -1.5, "forces": np.ones((n, 3)), "stress": np.zeros(6)}
        how = {1: "good", 6: "exit", 7: "interrupt", 8: "hang", 9: "flat", 15: "complex",
               16: "nothing", 17: "half", 35: "nan", 53: "text", 18: "energies", 2: "stress"}
        which = how[int(atoms.numbers[0])]
        print("chatter", which)
        if which == "exit":
            sys.exit(3)
        if which == "interrupt":
            raise KeyboardInterrupt
        while which == "hang":
            try:
                time.sleep(60)
            except Exception:
                pass
        self.results = good | {
            "flat": {"forces": np.ones(3 * n)},
            "complex": {"forces": np.ones((n, 3)) * 1j},
            "nothing": {"energy": None},
            "half": {"forces": np.ones((n, 3), dtype=np.float32), "energy": np.float32([-1.5])},
            "nan": {"forces": np.full((n, 3), np.nan)},
            "text": {"energy": "low"},
            "energies": {"energy": np.ones(n)},
            "stress": {"stress": np.full(6, np.inf)},
        }.get(which, {})
'''


def test_whatever_a_calculator_does_is_an_error_of_that_geometry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strange_calculator.py").write_text(STRANGE)
    monkeypatch.syspath_prepend(tmp_path)
    teacher = ASETeacher("ase:strange_calculator:Strange", {"time-limit": "0.5"})
    symbols = ["H", "C", "N", "O", "F", "P", "S", "Cl", "Br", "I", "Ar", "He", "H"]
    geometries = [Atoms(f"{s}2", [[0, 0, 0], [1, 0, 0]]) for s in symbols]
    geometries[11].set_cell([9, 9, 9])
    geometries[11].pbc = True
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a worker
    try:
        labels = teacher.label(geometries)
    finally:
        signal.signal(signal.SIGINT, before)
    errors = dict(zip(symbols, (label.error for label in labels), strict=True))
    assert labels[0].error is labels[7].error is labels[-1].error is None
    assert labels[7].forces.dtype == np.float64 and labels[7].energy == -1.5
    for symbol, words in {
        "C": "SystemExit: 3",
        "N": "KeyboardInterrupt",
        "O": "it took longer than the 0.5 s of time-limit",
        "F": r"forces has the shape (6,), not (2, 3)",
        "P": "as forces are no real numbers",
        "S": "it gives no energy",
        "Br": "as forces is not finite",
        "I": "as energy are no real numbers",
        "Ar": "energy has the shape (2,), not ()",
        "He": "as stress is not finite",
    }.items():
        assert words in str(errors[symbol]), errors[symbol]
    # a Ctrl-C of the user is no error of a geometry
    with pytest.raises(KeyboardInterrupt):
        teacher.label([geometries[2]])


def test_a_time_limit_changes_no_label() -> None:
    plain = TeacherSpec(LJ, options={"rc": "8"})
    assert TeacherSpec(LJ, options={"rc": "8", "time-limit": "9"}).settings == plain.settings
    for nonsense in ("soon", "0", "-1", "nan", "inf"):
        with pytest.raises(DistillError, match="time-limit is .*; give the seconds"):
            ASETeacher(LJ, {"time-limit": nonsense})


@pytest.mark.parametrize("info", [{"charge": "abc"}, {"charge": 0.5}, {"spin": 0}])
def test_a_charge_that_is_none(info: dict[str, object]) -> None:
    water = molecule("H2O")
    water.info = info
    for teacher in (XTBTeacher(), ASETeacher(LJ)):
        (label,) = teacher.label([water])
        assert 'atoms.info["' in str(label.error)


def test_text_and_none_are_read() -> None:
    ions = [molecule("CH3") for _ in range(3)]
    ions[0].info.update(charge="1", spin="1")
    ions[1].info.update(charge=1.0, spin=None)
    ions[2].set_initial_charges([0.4, 0.2, 0.2, 0.2])
    for atoms in ions:
        atoms.set_initial_magnetic_moments(None)
    first, *others = XTBTeacher().label(ions)
    assert first.error is None
    assert [other.energy for other in others] == pytest.approx([first.energy] * 2, abs=1e-6)
