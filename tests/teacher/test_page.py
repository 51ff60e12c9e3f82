"""Each line of docs/potentials.md: its options reach a class of the package's own shape.

The stand-ins have the arguments of the real ones (chgnet 0.4.2, so3krates-torch 0.2.1, mace-torch
0.3.16, aimnet 0.2.6, fairchem-core 2.24.0) and take no others.
"""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ase.build import molecule

from distill.arguments import key_values
from distill.teacher.from_ase import ASETeacher

PAGE = (Path(__file__).parents[2] / "docs" / "potentials.md").read_text()
LINES = re.findall(r"^distill label .*", PAGE, re.MULTILINE)
HARMONIC = """
from ase.calculators.calculator import Calculator, all_changes
class Harmonic(Calculator):
    implemented_properties = ["energy", "forces"]
    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": (atoms.positions**2).sum(), "forces": -2 * atoms.positions}
"""
PACKAGES = {
    "chgnet/model/dynamics.py": """
class CHGNetCalculator(Harmonic):
    def __init__(self, model=None, *, use_device=None, check_cuda_mem=False, stress_weight=1.0,
                 on_isolated_atoms="warn", return_site_energies=False):
        super().__init__()
    def calculate(self, atoms=None, *more):
        assert atoms.pbc.all() and (atoms.cell.lengths() == 20).all()
        super().calculate(atoms, *more)
""",
    "so3krates_torch/calculator/so3.py": """
class SO3LRCalculator(Harmonic):
    def __init__(self, model_paths=None, models=None, r_max_lr=12.0,
                 dispersion_energy_cutoff_lr_damping=2.0, compute_stress=False, device="cpu",
                 energy_units_to_eV=1.0, length_units_to_A=1.0, default_dtype="",
                 charges_key="Qs", key_specification=None):
        assert (r_max_lr, default_dtype) == (1000, "float64")
        super().__init__()
""",
    "mace/calculators.py": """
def mace_off(model=None, device="", default_dtype="float64", return_raw_model=False):
    assert (model, device) == ("medium", "cpu")
    return Harmonic()
def mace_omol(model=None, device="", default_dtype="float64", return_raw_model=False):
    assert (model, device) == ("extra_large", "cpu")
    return Harmonic()
""",
    "aimnet/calculators.py": """
class AIMNet2Calculator:
    def __init__(self, model="aimnet2", nb_threshold=120, needs_coulomb=None,
                 needs_dispersion=None, device=None, compile_model=False):
        assert (model, device) == ("aimnet2", "cpu")
class AIMNet2ASE(Harmonic):
    def __init__(self, base_calc="aimnet2", charge=0, mult=1, validate_species=True):
        assert base_calc == "aimnet2" or isinstance(base_calc, AIMNet2Calculator)
        super().__init__()
""",
    "fairchem/core/__init__.py": """
class pretrained_mlip:
    @staticmethod
    def get_predict_unit(model_name, inference_settings="default", overrides=None, device=None):
        assert (model_name, device) == ("uma-s-1p2p1", "cpu")
        return {"unit": model_name}
class FAIRChemCalculator(Harmonic):
    def __init__(self, predict_unit, task_name=None, seed=None):
        assert predict_unit == {"unit": "uma-s-1p2p1"} and task_name == "omol"
        super().__init__()
    @classmethod
    def from_model_checkpoint(cls, name_or_path, task_name=None, inference_settings="default",
                              overrides=None, device=None, seed=41, workers=1):
        return cls(pretrained_mlip.get_predict_unit(name_or_path, device=device), task_name, seed)
""",
}


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    tops = {name.split("/")[0] for name in PACKAGES}
    for name, code in PACKAGES.items():
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(HARMONIC + code)
    real = {key: sys.modules.pop(key) for key in list(sys.modules) if key.split(".")[0] in tops}
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for key in [key for key in sys.modules if key.split(".")[0] in tops]:
        del sys.modules[key]
    sys.modules.update(real)


def parsed(line: str) -> tuple[str, dict[str, str]]:
    """The teacher and its options."""
    words = shlex.split(line)
    options = [words[k + 1] for k, word in enumerate(words) if word == "--teacher-option"]
    return words[words.index("--teacher") + 1], key_values(options)


def test_all_lines_are_there() -> None:
    teachers = [parsed(line)[0] for line in LINES]
    assert sum(name.startswith("ase:") for name in teachers) == len(teachers) - 3 == 11
    assert all("{" not in line or "charge={charge}" in line for line in LINES)


@pytest.mark.parametrize("line", [x for x in LINES if "--teacher ase:" in x], ids=lambda x: x[:70])
def test_line(packages: None, line: str) -> None:
    spec, options = parsed(line)
    water = molecule("H2O")
    if "XTBProgram" in spec or "ORCA" in spec:  # no program here
        assert ASETeacher(spec, options).name == spec
        return
    (label,) = ASETeacher(spec, options).label([water])
    assert label.error is None
