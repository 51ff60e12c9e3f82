"""The potentials that people have, by stand-ins that are loaded and asked in the same way.

Each stand-in is a harmonic potential about the origin whose energy tells what reached it.
"""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.lj import LennardJones

from distill.errors import DistillError
from distill.teacher.from_ase import ASETeacher
from distill.teacher.xtb import XTBTeacher

STAND_INS = '''
"""Shapes of mace.calculators, fairchem.core, aimnet.calculators, so3krates_torch and chgnet."""
import numpy as np
from ase.calculators.calculator import Calculator, all_changes

made = []


class Harmonic(Calculator):
    implemented_properties = ["energy", "forces", "stress"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        x = atoms.positions - atoms.positions.mean(axis=0)
        more = self.more(atoms)
        self.results = {"energy": (x**2).sum() + more, "forces": -2 * x, "stress": np.ones(6)}

    def more(self, atoms):
        return 0.0


class MACECalculator(Harmonic):
    def more(self, atoms):  # MACE-OMOL reads floats or integers
        return 100 * float(atoms.info["charge"]) + 1000 * float(atoms.info["spin"])


def mace_omol(model=None, device="", default_dtype="float64", **kwargs):
    print("Using float32 for MACECalculator")
    made.append(("mace_omol", model, device, default_dtype, kwargs))
    if model not in (None, "extra_large"):
        raise RuntimeError("Model download failed and no local model found")
    return MACECalculator()


class PredictUnit:
    def __init__(self, name, settings):
        self.name, self.settings = name, settings


class pretrained_mlip:
    @staticmethod
    def get_predict_unit(model_name, inference_settings="default", device=None):
        made.append(("unit", model_name, inference_settings, device))
        return PredictUnit(model_name, inference_settings)


class Settings:
    def __init__(self, tf32=False, merge_mole=None):
        self.tf32, self.merge_mole = tf32, merge_mole


class FAIRChemCalculator(MACECalculator):
    def __init__(self, predict_unit, task_name=None, seed=41):
        super().__init__()
        if not isinstance(predict_unit, PredictUnit):
            raise TypeError("predict_unit must be an MLIPPredictUnit")
        made.append(("fairchem", predict_unit, task_name, seed))

    @classmethod
    def from_model_checkpoint(cls, name_or_path, task_name=None, device=None, seed=41):
        return cls(pretrained_mlip.get_predict_unit(name_or_path, device=device), task_name, seed)


class AIMNet2Calculator:
    def __init__(self, model="aimnet2", device=None, nb_threshold=120):
        self.model, self.device = model, device


class _AIMNet2ASE(Harmonic):
    """Takes the charge of atoms.info first, its argument otherwise."""

    def __init__(self, base_calc="aimnet2", charge=0, mult=1):
        super().__init__()
        self.base, self.charge, self.mult = base_calc, charge, mult
        made.append(("aimnet", base_calc))

    def more(self, atoms):
        mult = atoms.info.get("mult", atoms.info.get("spin", self.mult))
        return 100 * atoms.info.get("charge", self.charge) + 1000 * mult


def __getattr__(name):  # as aimnet.calculators has it
    if name == "AIMNet2ASE":
        return _AIMNet2ASE
    raise AttributeError(name)


class CHGNetCalculator(Harmonic):
    """A potential for crystals: no cell, no answer."""

    def more(self, atoms):
        np.linalg.inv(atoms.cell.array)
        assert atoms.pbc.all()
        return 0.0


class OfOnePrecision(Harmonic):
    """As MACE: sets torch's default type once, and computes in it."""

    def __init__(self, default_dtype="float64"):
        super().__init__()
        import torch

        torch.set_default_dtype(getattr(torch, default_dtype))

    def more(self, atoms):
        import torch

        return float(torch.tensor(0.1)) - 0.1  # not 0 in float32


class ByArgument(Harmonic):
    """As Psi4 and others: charge and multiplicity are arguments."""

    def __init__(self, charge=0, multiplicity=1, task=""):
        super().__init__()
        made.append(("by argument", charge, multiplicity, task))
        self.all = 100 * charge + 1000 * multiplicity

    def more(self, atoms):
        return self.all
'''


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    (tmp_path / "stand_in.py").write_text(STAND_INS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "stand_in", raising=False)
    import stand_in  # type: ignore[import-not-found]

    return stand_in.made  # type: ignore[no-any-return]


def water(charge: int = 0, spin: int = 1) -> Atoms:
    atoms = molecule("H2O")
    atoms.info.update(charge=charge, spin=spin)
    return atoms


def energy_of(atoms: Atoms) -> float:
    x = atoms.positions - atoms.positions.mean(axis=0)
    return float((x**2).sum() + 100 * atoms.info["charge"] + 1000 * atoms.info["spin"])


FOUR = [water(), water(1, 2), water(0, 3), water()]


def check_charge_and_spin(teacher: ASETeacher) -> None:
    """The same positions each time: nothing that is kept from before may answer."""
    for label, atoms in zip(teacher.label(FOUR), FOUR, strict=True):
        assert label.error is None
        assert label.energy == pytest.approx(energy_of(atoms), abs=1e-9)


def test_a_function_that_loads_a_model(stand_ins: list[tuple[object, ...]]) -> None:
    options = {"model": "extra_large", "device": "cpu", "default_dtype": "float32", "head": "None"}
    check_charge_and_spin(ASETeacher("ase:stand_in:mace_omol", options))
    assert stand_ins == [("mace_omol", "extra_large", "cpu", "float32", {"head": None})]
    with pytest.raises(DistillError, match=r"model=huge \(Model download failed .*--teacher-opt"):
        ASETeacher("ase:stand_in:mace_omol", {"model": "huge"})


def test_a_method_of_a_class(stand_ins: list[tuple[object, ...]]) -> None:
    options = {"name_or_path": "uma-s-1p1", "task_name": "omol", "device": "cpu"}
    teacher = ASETeacher("ase:stand_in:FAIRChemCalculator.from_model_checkpoint", options)
    check_charge_and_spin(teacher)
    assert stand_ins[0] == ("unit", "uma-s-1p1", "default", "cpu")
    assert stand_ins[1][2:] == ("omol", 41)


def test_a_loader_within_a_loader(stand_ins: list[tuple[object, ...]]) -> None:
    options = {
        "predict_unit": "call:stand_in:pretrained_mlip.get_predict_unit",
        "predict_unit.model_name": "uma-s-1p1",
        "predict_unit.inference_settings": "call:stand_in:Settings",
        "predict_unit.inference_settings.tf32": "true",
        "task_name": "omol",
        "seed": "7",
    }
    check_charge_and_spin(ASETeacher("ase:stand_in:FAIRChemCalculator", options))
    settings = stand_ins[0][2]
    assert settings.tf32 is True and settings.merge_mole is None  # type: ignore[attr-defined]
    assert stand_ins[1][2:] == ("omol", 7)


def test_a_model_object_and_a_class_that_its_module_makes_up(
    stand_ins: list[tuple[object, ...]],
) -> None:
    options = {"base_calc": "call:stand_in:AIMNet2Calculator", "base_calc.device": "cpu"}
    check_charge_and_spin(ASETeacher("ase:stand_in:AIMNet2ASE", options))
    assert stand_ins[-1][1].device == "cpu"  # type: ignore[attr-defined]
    check_charge_and_spin(ASETeacher("ase:stand_in:AIMNet2ASE", {"base_calc": "aimnet2nse"}))
    assert stand_ins[-1] == ("aimnet", "aimnet2nse")


def test_an_object_is_passed_on(stand_ins: list[tuple[object, ...]]) -> None:
    options = {"model": "extra_large", "default_dtype": "object:numpy:float64", "name": '"1"'}
    ASETeacher("ase:stand_in:mace_omol", options)
    assert stand_ins[0][3] is np.float64
    assert stand_ins[0][4] == {"name": "1"}


def test_charge_and_spin_as_arguments(stand_ins: list[tuple[object, ...]]) -> None:
    options = {"charge": "{charge}", "multiplicity": "{spin}", "task": "UHF={unpaired} Q={charge}"}
    teacher = ASETeacher("ase:stand_in:ByArgument", options)
    check_charge_and_spin(teacher)
    teacher.label([water(), water()])
    # one for the start, and one each time that they change
    assert stand_ins == [
        ("by argument", 0, 1, "UHF=0 Q=0"),
        ("by argument", 1, 2, "UHF=1 Q=1"),
        ("by argument", 0, 3, "UHF=2 Q=0"),
        ("by argument", 0, 1, "UHF=0 Q=0"),
    ]


def test_torch_is_as_each_wants_it(stand_ins: list[tuple[object, ...]]) -> None:
    precise = ASETeacher("ase:stand_in:OfOnePrecision")
    plain = ASETeacher("ase:stand_in:OfOnePrecision", {"default_dtype": "float32"})
    for _ in range(2):
        assert torch.get_default_dtype() == torch.float32
        exact, rounded = (t.label([water()])[0].energy for t in (precise, plain))
        assert exact == pytest.approx(energy_of(water()) - 1000, abs=1e-12)
        assert rounded - exact == pytest.approx(1.5e-9, rel=0.01)


def test_another_charge_than_the_molecules_is_refused(
    stand_ins: list[tuple[object, ...]],
) -> None:
    neutral, cation = ASETeacher("ase:stand_in:ByArgument", {"charge": "1"}).label(
        [water(), water(1, 2)]
    )
    assert "the option charge is 1, but the charge of this molecule is 0" in str(neutral.error)
    assert "charge={charge}" in str(neutral.error)
    assert cation.error is None


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"model": "call:stand_in:nothing"}, r"model=call:stand_in:nothing: stand_in has no 'noth"),
        ({"model": "call:no_such_package:f"}, "cannot be imported .*PYTHONPATH"),
        ({"model": "object:numpy"}, r"write package\.module:name"),
        ({"model.device": "cpu"}, "model.device is an argument of model, which is not called"),
        ({"periodic-box": "big"}, "periodic-box is 'big'; give the side of a cubic cell"),
        ({"periodic-box": "-3"}, "give the side of a cubic cell"),
    ],
)
def test_bad_options(
    stand_ins: list[tuple[object, ...]], options: dict[str, str], match: str
) -> None:
    with pytest.raises(DistillError, match=match):
        ASETeacher("ase:stand_in:mace_omol", options)


def test_a_teacher_that_wants_a_cell(stand_ins: list[tuple[object, ...]]) -> None:
    spec = "ase:stand_in:CHGNetCalculator"
    (failed,) = ASETeacher(spec).label([water()])
    assert "Singular matrix; if it knows no molecule without a periodic cell" in str(failed.error)
    assert "--teacher-option periodic-box=20" in str(failed.error)
    atoms = water()
    (label,) = ASETeacher(spec, {"periodic-box": "12"}).label([atoms])
    assert label.error is None and label.stress is None  # a box of ours has no stress of its own
    assert not atoms.pbc.any() and not atoms.cell.any()  # the geometry is as it was


def test_a_box_changes_nothing_where_the_images_are_far() -> None:
    """Lennard-Jones without cell and in a box, beyond its cutoff and within."""
    spec, options = "ase:ase.calculators.lj:LennardJones", {"sigma": "3.0", "rc": "8.0"}
    # far from the cell's middle, and 7.5 Å long
    cluster = Atoms("Ar3", 50 + np.array([[0.0, 0, 0], [3.7, 0.4, 0.1], [7.5, 0, -0.2]]))
    (free,) = ASETeacher(spec, options).label([cluster])
    (boxed,) = ASETeacher(spec, {**options, "periodic-box": "25"}).label([cluster])
    assert boxed.energy == pytest.approx(free.energy, abs=1e-10)
    np.testing.assert_allclose(boxed.forces, free.forces, atol=1e-10)
    (near,) = ASETeacher(spec, {**options, "periodic-box": "14"}).label([cluster])
    images = cluster.copy()
    images.set_cell([14, 14, 14])
    images.pbc = True
    images.calc = LennardJones(sigma=3.0, rc=8.0)
    assert near.energy == pytest.approx(images.get_potential_energy(), abs=1e-10)
    assert near.energy != pytest.approx(free.energy, abs=1e-6)


def test_a_box_that_is_too_small_is_named(stand_ins: list[tuple[object, ...]]) -> None:
    long = Atoms("H2", [[0, 0, 0], [0, 0, 7.3]])
    teacher = ASETeacher("ase:stand_in:CHGNetCalculator", {"periodic-box": "13"})
    (label,) = teacher.label([long])
    assert "7.3 Å long and comes within 6 Å of its images" in str(label.error)
    assert "periodic-box=20" in str(label.error)
    (fits,) = ASETeacher("ase:stand_in:CHGNetCalculator", {"periodic-box": "20"}).label([long])
    assert fits.error is None


ORCA = """#!{python}
# stands in for orca: checks the input, and writes the output's lines that ASE reads
import os, sys
text = open(sys.argv[1]).read()
assert "engrad" in text.lower() and "HF STO-3G" in text, text
open(os.path.join({seen!r}, os.path.basename(os.getcwd())), "a").write(text)
lines = text.split("*xyz")[1].splitlines()
charge, mult = map(int, lines[0].split())
atoms = [line.split() for line in lines[1:] if len(line.split()) == 4]
print("Number of atoms                             ...  %d" % len(atoms))
print("CARTESIAN COORDINATES (ANGSTROEM)")
print("---------------------------------")
for atom in atoms:
    print("  ", *atom)
print("")
print("FINAL SINGLE POINT ENERGY  %.9f" % (-1.0 + charge + 10 * mult))
print("                 ****ORCA TERMINATED NORMALLY****")
with open("orca.engrad", "w") as file:  # ASE reads the forces there
    file.write("# The current gradient in Eh/bohr\\n#\\n")
    file.writelines(" %.12f\\n" % (0.01 * (k + 1)) for k in range(3 * len(atoms)))
    file.write("#\\n# The atomic numbers and current coordinates in Bohr\\n#\\n")
"""


def test_orca_by_ases_own_class(tmp_path: Path) -> None:
    """Charge and multiplicity reach its input, and no two processes share a folder."""
    seen = tmp_path / "seen"
    seen.mkdir()
    program = tmp_path / "orca"
    program.write_text(ORCA.format(python=sys.executable, seen=str(seen)))
    program.chmod(0o755)
    options = {
        "profile": "call:ase.calculators.orca:OrcaProfile",
        "profile.command": str(program),
        "orcasimpleinput": "HF STO-3G EnGrad",
        "charge": "{charge}",
        "mult": "{spin}",
    }
    teacher = ASETeacher("ase:ase.calculators.orca:ORCA", options)
    before = set(os.listdir())
    labels = teacher.label([water(), water(1, 2)])
    for label, energy in zip(labels, (9.0, 20.0), strict=True):
        assert label.error is None
        assert label.energy == pytest.approx(energy * units.Hartree, abs=1e-6)
        expected = -0.01 * np.arange(1, 10).reshape(3, 3) * units.Hartree / units.Bohr
        np.testing.assert_allclose(label.forces, expected, atol=1e-8)
    assert set(os.listdir()) == before  # nothing where the command was given
    kept = tmp_path / "kept"
    ASETeacher("ase:ase.calculators.orca:ORCA", {**options, "directory": str(kept)}).label(
        [water()]
    )
    assert (kept / f"process-{os.getpid()}" / "orca.out").is_file()


XTB = """#!{python}
# stands in for xtb: GFN2-xTB by tblite
import sys
import numpy as np
from ase.io import read
from ase.units import Bohr
from tblite.interface import Calculator
given = sys.argv
for word in given[2:]:
    if word.startswith("--") and word not in ("--gfn", "--grad", "--chrg", "--uhf"):
        print("-1- prog_main_parseArguments: Unknown option '%s' provided" % word)
value = lambda name: int(given[given.index(name) + 1]) if name in given else 0
atoms = read(given[1])
x = atoms.positions / Bohr
calc = Calculator("GFN2-xTB", atoms.numbers, x, value("--chrg"), value("--uhf"))
calc.set("verbosity", 0)
found = calc.singlepoint()
with open("molecule.engrad", "w") as file:
    file.write("#\\n# Number of atoms\\n#\\n %d\\n#\\n# energy\\n#\\n" % len(atoms))
    file.write(" %.12f\\n# The current gradient in Eh/bohr\\n#\\n" % found["energy"])
    file.writelines(" %.12f\\n" % x for x in found["gradient"].reshape(-1))
    file.write("#\\n# The atomic numbers and current coordinates in Bohr\\n#\\n  8  0.0 0.0 0.2\\n")
"""


def test_a_run_of_xtb_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    program = tmp_path / "xtb"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 300\n")
    program.chmod(0o755)
    spec = "ase:distill.teacher.xtb_program:XTBProgram"
    teacher = ASETeacher(spec, {"command": str(program), "time-limit": "0.5"})
    (label,) = teacher.label([water()])
    assert "it took longer than the 0.5 s of time-limit" in str(label.error)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize("real", [False, *([True] if shutil.which("xtb") else [])])
def test_the_program_xtb(tmp_path: Path, real: bool) -> None:
    """Against tblite's own labels; by the real program where there is one."""
    program = tmp_path / "xtb"
    program.write_text(XTB.format(python=sys.executable))
    program.chmod(0o755)
    command = "xtb" if real else str(program)
    spec = "ase:distill.teacher.xtb_program:XTBProgram"
    ions = [molecule("CH3CHO"), molecule("CH3"), molecule("CH3")]
    ions[1].info.update(charge=1, spin=1)
    ions[2].info.update(charge=0, spin=2)
    for atoms in ions:
        atoms.set_initial_magnetic_moments(None)
    theirs = ASETeacher(spec, {"flags": "--gfn 2", "command": command}).label(ions)
    for label, other in zip(theirs, XTBTeacher().label(ions), strict=True):
        assert label.error is None and other.error is None
        # each stops its self-consistency where it likes
        assert label.energy == pytest.approx(other.energy, abs=1e-4)
        np.testing.assert_allclose(label.forces, other.forces, atol=1e-3)
    (old,) = ASETeacher(spec, {"command": command, "flags": "--gxtc"}).label(ions[:1])
    assert "this xtb does not know --gxtc; give a newer one" in str(old.error)
    (none,) = ASETeacher(spec, {"command": "no-such-xtb"}).label(ions[:1])
    assert "there is no program no-such-xtb" in str(none.error)
