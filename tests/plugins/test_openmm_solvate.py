"""A molecule in a box of water: what is in the box, that it is the same each time, bad input."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import unit
from rdkit import Chem
from scipy.spatial.distance import cdist

from distill.data.molecules import from_smiles
from distill.errors import DistillError
from distill_openmm import amber_programs
from distill_openmm.mixed import mixed
from distill_openmm.prepared import Prepared
from distill_openmm.solvate import solvate

pytestmark = pytest.mark.skipif(
    not amber_programs.shutil.which("sqm", path=amber_programs.search_path()),
    reason="AmberTools is not there",
)
SMALL = {"charges": "gasteiger", "padding": 9.0, "cutoff": 6.0}


def quiet(line: str) -> None:
    """Says nothing."""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def methanol(cache: Path) -> Prepared:
    return solvate("CO", cache=cache, say=quiet, **SMALL)


def charges(system: openmm.System) -> np.ndarray:
    force = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    n = system.getNumParticles()
    return np.array([force.getParticleParameters(i)[0]._value for i in range(n)])


def masses(prepared: Prepared) -> np.ndarray:
    n = prepared.system.getNumParticles()
    return np.array([prepared.system.getParticleMass(i)._value for i in range(n)])


def residues(prepared: Prepared) -> Counter:
    return Counter(r.name for r in prepared.topology.residues())


def test_what_is_in_the_box(methanol: Prepared) -> None:
    assert next(methanol.topology.residues()).name == "LIG"
    assert methanol.atoms == list(range(6)) and methanol.charge == 0
    kinds = residues(methanol)
    assert set(kinds) == {"LIG", "HOH"} and kinds["LIG"] == 1
    assert methanol.positions.shape == (6 + 3 * kinds["HOH"], 3)
    assert methanol.topology.getNumBonds() == 5 + 2 * kinds["HOH"]
    # water's density, but for the gap around the molecule and those at the walls
    volume = np.linalg.det(methanol.box)
    assert 0.85 < masses(methanol).sum() * 1.66054 / volume < 1.02
    oxygens = [a.index for a in methanol.topology.atoms() if a.name == "O"]
    near = cdist(methanol.positions[[0, 1]], methanol.positions[oxygens]).min()
    assert 2.3 < near < 4.0


def test_how_it_is_computed(methanol: Prepared) -> None:
    system = methanol.system
    force = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    assert force.getNonbondedMethod() == openmm.NonbondedForce.PME
    assert force.getCutoffDistance()._value == pytest.approx(0.6)
    assert force.getUseSwitchingFunction() and force.getUseDispersionCorrection()
    assert force.getSwitchingDistance()._value == pytest.approx(0.5)
    # all of water, and methanol's four bonds of hydrogen
    assert system.getNumConstraints() == 4 + 3 * residues(methanol)["HOH"]
    box = system.getDefaultPeriodicBoxVectors()
    np.testing.assert_allclose([[*v._value] for v in box], 0.1 * methanol.box, atol=1e-9)


def test_it_runs(methanol: Prepared) -> None:
    integrator = openmm.LangevinMiddleIntegrator(300.0, 1.0, 0.002)
    platform = openmm.Platform.getPlatformByName("CPU")
    context = openmm.Context(methanol.system, integrator, platform, {"Threads": "1"})
    context.setPositions(0.1 * methanol.positions)
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=20)
    context.setVelocitiesToTemperature(300.0, 1)
    integrator.step(20)
    energy = context.getState(energy=True).getPotentialEnergy()
    # bulk TIP3P has about -40 kJ/mol per molecule
    assert -60 < energy._value / residues(methanol)["HOH"] < -25


def test_it_interpolates(methanol: Prepared) -> None:
    """At 0 it is the force field's, whose constrained bonds have their terms."""
    system = mixed("ultra-tiny", methanol, interpolate=True)
    reference = openmm.Platform.getPlatform("Reference")
    energies = []
    for one in (system, methanol.system):
        context = openmm.Context(one, openmm.VerletIntegrator(0.001), reference)
        context.setPositions(0.1 * methanol.positions)
        if one is system:
            context.setParameter("lambda_interpolate", 0.0)
        energies.append(context.getState(energy=True).getPotentialEnergy()._value)
    assert energies[0] == pytest.approx(energies[1], rel=1e-5)


def test_the_same_each_time(cache: Path) -> None:
    """Ions stand at random places, of a seed; the user's random numbers go on as they would."""
    random.seed(5)
    expected = random.random()
    random.seed(5)
    boxes = [
        solvate("CC(=O)[O-]", salt=0.5, seed=seed, cache=cache, say=quiet, **SMALL)
        for seed in (0, 0, 1)
    ]
    assert random.random() == expected
    assert np.array_equal(boxes[0].positions, boxes[1].positions)
    assert not np.array_equal(boxes[0].positions, boxes[2].positions)


def test_ions(cache: Path) -> None:
    """One to neutralize, and pairs by the number of waters (55.4 mol/L)."""
    prepared = solvate("CC(=O)[O-]", salt=0.5, cache=cache, say=quiet, **SMALL)
    kinds = residues(prepared)
    assert kinds["NA"] == kinds["CL"] + 1
    assert kinds["CL"] == pytest.approx(0.5 / 55.4 * kinds["HOH"], abs=1.0)
    assert charges(prepared.system).sum() == pytest.approx(0.0, abs=1e-4)
    assert prepared.charge == -1


@pytest.mark.parametrize("shape", ["dodecahedron", "octahedron", "cube"])
def test_the_padding_is_on_each_side(shape: str, cache: Path) -> None:
    prepared = solvate("CO", box=shape, cache=cache, say=quiet, **SMALL)
    cells = np.array(list(np.ndindex(5, 5, 5))) - 2
    copies = (cells[np.any(cells != 0, axis=1)]) @ prepared.box
    ligand = prepared.positions[prepared.atoms]
    nearest = min(cdist(ligand, ligand + copy).min() for copy in copies)
    assert nearest >= 18.0 - 1e-6
    # and no more than a sphere around the molecule needs
    assert np.linalg.norm(copies, axis=1).min() < 18.0 + 2 * 2.5


def test_masses(cache: Path) -> None:
    """Heavier hydrogens, but water's; deuterium is an isotope."""
    plain, heavy = (
        masses(solvate("CO", hydrogen_mass=mass, cache=cache, say=quiet, **SMALL))
        for mass in (None, 3.0)
    )
    np.testing.assert_allclose(heavy[2:6], 3.0)
    np.testing.assert_allclose(heavy[6:], plain[6:])
    assert heavy.sum() == pytest.approx(plain.sum())
    deuterated = masses(solvate("[2H]OC", cache=cache, say=quiet, **SMALL))[:6]
    assert sorted(np.round(deuterated, 2)) == [1.01, 1.01, 1.01, 2.01, 12.01, 16.0]


def test_a_water_is_like_the_others_but_not_rigid(cache: Path) -> None:
    prepared = solvate("O", cache=cache, say=quiet, **SMALL)
    all_charges = charges(prepared.system)
    assert sorted(all_charges[:3]) == sorted(all_charges[3:6])
    constrained = [
        {*prepared.system.getConstraintParameters(k)[:2]}
        for k in range(prepared.system.getNumConstraints())
    ]
    assert {1, 2} not in constrained


def test_other_waters(cache: Path) -> None:
    small = [
        solvate("CO", water=water, cache=cache, say=quiet, **SMALL)
        for water in ("tip3p", "spce", "tip3pfb", "opc3")
    ]
    oxygens = [charges(each.system)[6:].min() for each in small]
    # TIP3P, SPC/E, TIP3P-FB, OPC3: the papers'
    assert oxygens == pytest.approx([-0.834, -0.8476, -0.848448690103, -0.89517], abs=1e-4)


def test_the_default_fits_the_smallest(cache: Path) -> None:
    """12 Å around methanol would be a dodecahedron of less than twice 9 Å."""
    prepared = solvate("C", charges="gasteiger", cache=cache, say=quiet)
    assert np.diag(prepared.box).min() >= 18.9


def test_kinds_of_molecule(cache: Path, tmp_path: Path) -> None:
    """The same from an RDKit Mol without hydrogens, an SDF file and positions."""
    molecule = from_smiles("CO")
    mol = Chem.MolFromSmiles("CO")
    given = np.random.default_rng(0).normal(size=(6, 3)) + 3.0 * np.arange(6)[:, None]
    full = Chem.Mol(molecule.rdmol)
    conformer = Chem.Conformer(6)
    for i, x in enumerate(given.round(4)):
        conformer.SetAtomPosition(i, Chem.rdGeometry.Point3D(*x))
    full.AddConformer(conformer)
    Chem.MolToMolFile(full, str(tmp_path / "x.sdf"))
    options = {**SMALL, "solvent": None, "cache": cache, "say": quiet}
    assert len(solvate(mol, **options).atoms) == 6
    for one in (
        solvate(full, **options),
        solvate(tmp_path / "x.sdf", **options),
        solvate(molecule, given.round(4), **options),
    ):
        np.testing.assert_allclose(one.positions, given, atol=1e-3)
        assert one.box is None and one.topology.getPeriodicBoxVectors() is None
        assert not one.system.usesPeriodicBoundaryConditions()


def test_implicit_solvent(cache: Path) -> None:
    """Polar molecules gain energy by it."""
    energies = []
    for solvent in (None, "obc2", "gbn2"):
        one = solvate("CO", solvent=solvent, cache=cache, say=quiet, charges="gasteiger")
        context = openmm.Context(one.system, openmm.VerletIntegrator(0.001))
        context.setPositions(0.1 * one.positions)
        energies.append(context.getState(energy=True).getPotentialEnergy()._value)
    assert all(-60 < energy - energies[0] < -2 for energy in energies[1:])


def test_open_stereochemistry_is_told(cache: Path) -> None:
    prepared = solvate("CC(F)Cl", solvent=None, charges="gasteiger", cache=cache, say=quiet)
    assert "stereochemistry open" in prepared.notes[0]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"padding": 6.0}, r"wide, too little for a cutoff of 9 Å.*--padding 12 or a shorter"),
        ({"padding": 3000.0}, "padding is 3000"),
        ({"padding": 900.0}, "would hold about .* atoms; give a smaller padding"),
        ({"padding": float("nan")}, "padding is nan"),
        ({"padding": "12"}, "padding is '12'"),
        ({"cutoff": 0.9}, "cutoff is 0.9; give a number of Å"),
        ({"salt": -0.1}, "salt is -0.1"),
        ({"hydrogen_mass": 12}, "hydrogen_mass is 12; give a number of Da, 1 to 4"),
        ({"box": "sphere"}, "box is 'sphere'"),
        ({"water": "tip5p"}, "water is 'tip5p'"),
        ({"water": "tip3"}, "water is 'tip3'"),
        ({"solvent": "ethanol"}, "solvent is 'ethanol'"),
        ({"seed": 0.5}, "seed is 0.5"),
        ({"positions": np.zeros((5, 3))}, r"shape \(5, 3\); give \(6, 3\)"),
    ],
)
def test_bad_options(options: dict, told: str, cache: Path) -> None:
    with pytest.raises(DistillError, match=told):
        solvate("CO", **{"charges": "gasteiger", "cache": cache, "say": quiet} | options)


def test_bad_molecules(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "two.smi").write_text("CO\nCCO\n")
    for molecule, told in (
        (tmp_path / "two.smi", "holds 2 molecules .*give a file of one"),
        ("nothing.sdf", "nothing.sdf"),
        (5, "of the type int; give a SMILES"),
    ):
        with pytest.raises(DistillError, match=told):
            solvate(molecule, cache=cache, say=quiet)  # type: ignore[arg-type]


def test_units(methanol: Prepared) -> None:
    """Å, as Prepared says; the topology holds the same box."""
    vectors = methanol.topology.getPeriodicBoxVectors().value_in_unit(unit.angstrom)
    np.testing.assert_allclose([[*v] for v in vectors], methanol.box, atol=1e-9)
