"""Charges and multiplicities as people write them: read, or refused; never passed over."""

import numpy as np
import pytest
from ase import Atoms

from distill.data.charge import charge_and_spin, charge_of_properties
from distill.errors import DistillError

CARBONATE = Atoms("CO3", positions=[[0, 0, 0], [0, 0, 1.3], [1.1, 0, -0.6], [-1.1, 0, -0.6]])
OXYGEN = Atoms("O2", positions=[[0, 0, 0], [0, 0, 1.21]])


@pytest.mark.parametrize(
    "comment",
    [
        "charge=-2", "Charge=-2", "CHARGE = -2", "total_charge=-2", "charge: -2", "charge -2",
        "net charge is -2", "-2 1", "-2, 1", "  -2   1  ", "charge=-2.0", "charge=2-",
        "charge=−2", "q=-2", "Q: -2", "chrg=-2", "NetCharge=-2", "system-charge=-2",
        "charge='-2' energy=3", 'charge="-2"', "charge = [-2]", "chg=-2", "Chg -2", "net chg: -2",
        '{"charge": -2, "step": 7}',
        "dianion, charge=-2", "charge=-2 total_charge=-2 mulliken_charge=0.3",
        "Properties=species:S:1:pos:R:3 charge=-2 pbc=\"F F F\"",
        "energy=-3.1 charge=-2 multiplicity=1",
    ],
)  # fmt: skip
def test_the_charge_is_read(comment: str) -> None:
    assert charge_and_spin(CARBONATE, "file", comment=comment) == (-2, 1)


@pytest.mark.parametrize(
    "comment",
    [
        "", "carbonate", "energy: -3.2 gnorm: 0.001 xtb: 6.6", "i = 12, time = 0.5, E = -12.5",
        "12", "-76.4", "0 1", "discharge", 'title="charge transfer"', "charge=0", "nspin=2",
        "Properties=species:S:1:pos:R:3:charge:R:1 energy=-3", "charges=0.1", "uhf/6-31g",
        "energy = -76", "frame 3 of 2024-", "B3LYP/6-31+", "t = -5 fs",
        "B3LYP/6-31++", "charges=[0.4, -0.2]", "charge_state=0", "1 -2.5 0.3 box", "magmom=0.37",
        "2-methyl, scan -3", "magmom=0.0",
    ],
)  # fmt: skip
def test_nothing_is_said(comment: str) -> None:
    assert charge_and_spin(CARBONATE, "file", comment=comment) == (0, 1)


@pytest.mark.parametrize(
    ("comment", "words"),
    [
        ("charge=half", "whole number"), ("charge=-0.5", "whole number"),
        ("charge=", "whole number"), ("charge=T", "whole number"), ("charge=None", "whole number"),
        ("charge=-2 total_charge=-1", "differ"), ("mulliken_charge=-2", "not understood"),
        ("carbonate dianion", "'dianion' looks like"), ("CO3 -2 1", "looks like"),
        ("-2", "looks like"), ("CO3 2-", "looks like"), ("CO3(2-)", "looks like"),
        ("doubly charged", "looks like"), ("icharg=-2", "looks like"),
        ("charges=[-2]", "looks like"),
        ("chargemult=-2,1", "looks like"), ("charge_state: -2", "looks like"),
        ("-2 1 carbonate", "'-2 1 carbonate' looks like"), ("(-2,1)", "looks like"),
        ("-2/1", "looks like"), ("-2 1 ! B3LYP", "looks like"), ("carbonate (-2)", "looks like"),
        ("CO3--", "looks like"),
        ("triplet", "looks like"), ("spin=0", "1 or more"), ("spin=0.5", "whole number"),
        ("multiplicity=3 spin=1", "differ"), ("multiplicity=low", "whole number"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(comment: str, words: str) -> None:
    with pytest.raises(DistillError, match=words):
        charge_and_spin(CARBONATE, "file", comment=comment)


@pytest.mark.parametrize(
    "comment",
    [
        "multiplicity=3", "Multiplicity: 3", "spin=3", "mult=3", "2S+1=3", "spin_multiplicity 3",
        "uhf=2", "unpaired=2", "magmom=2.0",
        "total_magnetization: -1.99", "total_spin=3", "total_spin=2", "0 3", "charge=0, mult = 3",
    ],
)  # fmt: skip
def test_the_multiplicity_is_read(comment: str) -> None:
    """total_spin is 2S+1 to some and 2S to others: an even number of electrons fits only one."""
    assert charge_and_spin(OXYGEN, "file", comment=comment) == (0, 3)
    assert charge_and_spin(OXYGEN, "file", comment="total_spin=1") == (0, 1)
    assert charge_and_spin(Atoms("OH"), "file", comment="total_spin=1") == (0, 2)
    assert charge_and_spin(Atoms("OH"), "file", comment="total_spin=0.5") == (0, 2)


@pytest.mark.parametrize(
    "info",
    [
        {"charge": -2}, {"charge": -2.0}, {"charge": np.int64(-2)}, {"charge": "-2"},
        {"Charge": np.array([-2])}, {"charge:": True, "-2": True}, {"-2": True, "1": True},
        {"total_charge": -2, "energy": -3.0, "virial": np.eye(3)},
    ],
)  # fmt: skip
def test_info_of_ase(info: dict) -> None:
    """As ASE's reader tears a comment line apart, and as people set it."""
    atoms = CARBONATE.copy()
    atoms.info.update(info)
    assert charge_and_spin(atoms, "frame") == (-2, 1)


@pytest.mark.parametrize("value", [None, True, "two", -1.5, float("nan")])
def test_info_that_is_no_charge(value: object) -> None:
    atoms = CARBONATE.copy()
    atoms.info["charge"] = value
    with pytest.raises(DistillError, match="whole number"):
        charge_and_spin(atoms, "frame")


def test_charges_of_atoms() -> None:
    atoms = CARBONATE.copy()
    atoms.set_initial_charges([0.1, -0.7, -0.7, -0.7])
    assert charge_and_spin(atoms, "frame") == (-2, 1)
    assert charge_and_spin(atoms, "frame", comment="charge=-2") == (-2, 1)
    atoms.set_initial_charges([0.1, -0.7, -0.7, 0.0])
    with pytest.raises(DistillError, match=r"-1.30, which is no whole number"):
        charge_and_spin(atoms, "frame")
    oxygen = OXYGEN.copy()
    oxygen.set_initial_magnetic_moments([1, 1])
    assert charge_and_spin(oxygen, "frame") == (0, 3)
    oxygen.set_initial_magnetic_moments([1, -1])
    assert charge_and_spin(oxygen, "frame") == (0, 1)


def test_what_the_user_says_beside_the_file() -> None:
    assert charge_and_spin(CARBONATE, "file", comment="dianion", charge=-2) == (-2, 1)
    assert charge_and_spin(CARBONATE, "file", comment="", charge=-2, spin=3) == (-2, 3)
    with pytest.raises(DistillError, match="-1 and -2"):
        charge_and_spin(CARBONATE, "file", comment="charge=-1", charge=-2)


def test_data_fields() -> None:
    assert charge_of_properties({"PUBCHEM_TOTAL_CHARGE": -1, "logP": 2.5}, "file") == -1
    assert charge_of_properties({"Partial_Charges": "0.1 0.2", "formal_charge": 3}, "file") is None
    with pytest.raises(DistillError, match="differ"):
        charge_of_properties({"Charge": 1, "total charge": 2}, "file")
