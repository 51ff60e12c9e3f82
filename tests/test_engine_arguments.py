"""Arguments of the engines that cannot be meant: one sentence, before anything is done."""

import math

import numpy as np
import openmm
import pytest
from ase.build import molecule
from openmm import app, unit
from openmmml import MLPotential

from distill import DistillError, load_student
from distill_ase import StudentCalculator
from distill_openmm import add_bonds, create_force

ETHANOL = molecule("CH3CH2OH")


def topology() -> app.Topology:
    found = app.Topology()
    residue = found.addResidue("MOL", found.addChain())
    for z in ETHANOL.numbers:
        found.addAtom("X", app.Element.getByAtomicNumber(int(z)), residue)
    add_bonds(found, 0.1 * ETHANOL.positions)
    return found


WRONG = [
    ("skin", "1", "skin is 1; use a"),
    ("skin", None, "skin is None"),
    ("skin", math.inf, "skin is inf"),
    ("skin", math.nan, "skin is nan"),
    ("skin", -1.0, "skin is -1.0"),
    ("skin", 1.0 * unit.angstrom, "skin is 1.0 A"),
    ("threads", "2", "threads is '2'; use 1 or more"),
    ("threads", 1.5, "threads is 1.5"),
    ("threads", True, "threads is True"),
    ("threads", 0, "threads is 0"),
    ("dtype", ["float32"], r"dtype is '\['float32'\]'; use 'float32' or 'float64'"),
    ("device", "banana", "device 'banana' cannot be used"),
    ("device", None, "device 'None' cannot be used"),
    ("backend", None, "backend is 'None'"),
    ("student", None, "The student is of the type NoneType; give a path"),
    ("student", 3, "of the type int"),
]
OF_FORCES = [
    ("atoms", [0.7, 1.2], "must be a list of whole numbers"),
    ("atoms", [False, True], r"of a mask, give numpy.flatnonzero\(mask\)"),
    ("atoms", np.arange(9) < 2, "of a mask"),
    ("atoms", "012", "a list of whole numbers"),
    ("atoms", 3, "a list of whole numbers"),
    ("atoms", np.arange(4).reshape(2, 2), "a list of whole numbers"),
    ("periodic", "no", "periodic is 'no'; use True, False or None"),
    ("kind", None, "kind is 'None'; use 'torch' or 'python'"),
    ("topology", "x.pdb", "topology is of the type str; give an openmm.app.Topology"),
    ("topology", None, "topology is of the type NoneType"),
    ("topology", openmm.System(), "topology is of the type System"),
    ("system", topology(), "system is of the type Topology; give an openmm.System"),
]


@pytest.mark.parametrize(("name", "given", "sentence"), WRONG)
def test_of_a_calculator(name, given, sentence) -> None:
    with pytest.raises(DistillError, match=sentence):
        StudentCalculator(**{name: given})


@pytest.mark.parametrize("kind", ["torch", "python"])
@pytest.mark.parametrize(("name", "given", "sentence"), WRONG + OF_FORCES)
def test_of_a_force(name, given, sentence, kind) -> None:
    arguments = {"student": "ultra-tiny", "topology": topology(), "kind": kind, name: given}
    with pytest.raises(DistillError, match=sentence):
        create_force(**arguments)


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("charge", 0.5, "charge is 0.5; give a whole number"),
        ("charge", math.nan, "charge is nan"),
        ("charge", "neutral", "charge is 'neutral'"),
        ("charge", [0], r"charge is \[0\]"),
        ("charge", 10**400, "charge is 1000"),
        ("charge", "7", r"not \+7"),
        ("hydrogenMass", math.nan, "hydrogenMass is nan; give a mass in Da"),
        ("hydrogenMass", 4 * unit.nanometer, "hydrogenMass is 4 nm"),
        ("hydrogenMass", [4], r"hydrogenMass is \[4\]"),
        ("hydrogenMass", "4", "hydrogenMass is 4; give a mass"),
        ("precision", ["single"], "use 'single' or 'double'"),
        ("skin", "1", "skin is 1"),
    ],
)
def test_of_a_system(name, given, sentence) -> None:
    with pytest.raises(DistillError, match=sentence):
        MLPotential("distill-ultra-tiny").createSystem(topology(), **{name: given})


def test_what_is_right_in_other_words() -> None:
    """numpy's numbers, a generator of indices, a charge as text, a mass with a unit."""
    force = create_force(
        "ultra-tiny", topology(), (i for i in np.arange(3)), kind="python",
        skin=np.float32(2), threads=np.int64(2), periodic=np.False_,
    )  # fmt: skip
    assert force.usesPeriodicBoundaryConditions() is False
    MLPotential("distill-ultra-tiny").createSystem(
        topology(), charge="0", hydrogenMass=4 * unit.amu, precision="double"
    )


def test_of_load_student() -> None:
    with pytest.raises(DistillError, match="of the type list"):
        load_student(["tiny"])  # type: ignore[arg-type]
