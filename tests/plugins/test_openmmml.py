"""Students by name in OpenMM-ML: whole systems, mixed ML/MM systems, interpolation."""

import copy
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import openmm
import pytest
from ase import Atoms
from openmm import app, unit
from openmmml import MLPotential

from distill import DistillError
from distill.student import SIZES
from distill_ase import StudentCalculator

DIPEPTIDE = Path(__file__).parents[2] / "examples" / "alanine_dipeptide.pdb"


def test_ours_may_be_imported_first() -> None:
    """Although OpenMM-ML imports it, too."""
    script = (
        "import distill_openmm.openmmml_potential as ours; from openmmml import MLPotential as m; "
        "assert type(m._implFactories['distill']) is ours.DistillPotentialImplFactory"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def potential(tiny_file) -> MLPotential:
    return MLPotential("distill", modelPath=tiny_file)


class Solvated:
    """Alanine dipeptide in TIP3P water, by Amber14 and by the student."""

    forcefield = app.ForceField("amber14-all.xml", "amber14/tip3p.xml")

    def __init__(self, periodic: bool, constraints: object = None, method: object = None):
        pdb = app.PDBFile(str(DIPEPTIDE))
        model = app.Modeller(pdb.topology, pdb.positions)
        model.addSolvent(self.forcefield, boxSize=openmm.Vec3(2.0, 2.0, 2.0), model="tip3p")
        self.ml = list(range(22))
        waters = [r for r in model.topology.residues() if r.name == "HOH"]
        model.delete(waters[40:])
        if not periodic:
            model.topology.setPeriodicBoxVectors(None)
        self.method = method or (app.CutoffPeriodic if periodic else app.NoCutoff)
        self.topology, self.positions = model.topology, np.array(model.positions._value)
        self.mm = self._mm_system(self.topology, constraints)
        alone = app.Modeller(self.topology, model.positions)
        alone.delete([r for r in alone.topology.residues() if r.name == "HOH"])
        self.mm_dipeptide = self._mm_system(alone.topology, None)

    def _mm_system(self, topology: app.Topology, constraints: object) -> openmm.System:
        system = self.forcefield.createSystem(
            topology,
            nonbondedMethod=self.method,
            nonbondedCutoff=0.99 * unit.nanometer,  # all pairs of the dipeptide
            # OpenMM-ML computes these pairs without the cutoff, when it interpolates
            ewaldErrorTolerance=1e-5,
            constraints=constraints,
            rigidWater=constraints is not None,
        )
        for force in system.getForces():
            if isinstance(force, openmm.NonbondedForce):
                # it depends on all pairs of the box at once, so that energies would not add up
                force.setUseDispersionCorrection(False)
        return system

    def dipeptide(self) -> Atoms:
        numbers = [a.element.atomic_number for a in self.topology.atoms()][:22]
        atoms = Atoms(numbers, self.positions[:22] * 10)
        if (box := self.topology.getPeriodicBoxVectors()) is not None:
            atoms.set_cell(np.array(box._value) * 10)
            atoms.pbc = True
        return atoms

    def expected(self, student: Path, engines) -> tuple[float, np.ndarray]:
        """Amber of everything, less Amber of the dipeptide, plus the student of it."""
        energy, forces = evaluate(engines, self.mm, self.positions)
        less_energy, less_forces = evaluate(engines, self.mm_dipeptide, self.positions[:22])
        atoms = self.dipeptide()
        atoms.calc = StudentCalculator(student, dtype="float64")
        forces[:22] += atoms.get_forces() - less_forces
        return energy - less_energy + atoms.get_potential_energy(), forces


def evaluate(engines, system, positions, platform="Reference", **parameters):
    context = engines.context(system, platform)
    for name, value in parameters.items():
        context.setParameter(name, value)
    return engines.evaluate(context, positions * 10)


def assert_close(answer, expected):
    assert answer[0] == pytest.approx(expected[0], abs=1e-5)
    np.testing.assert_allclose(answer[1], expected[1], rtol=0, atol=1e-4)


def test_every_name_of_the_design_is_registered():
    names = {entry.name for entry in entry_points(group="openmmml.potentials")}
    assert {"distill", "distill-original", "distill-tiny", "distill-ultra-tiny"} <= names


@pytest.mark.parametrize("frame", ["drug", "crystal"])
def test_a_whole_system(potential, tiny_file, frame, request, engines):
    atoms = request.getfixturevalue(frame)
    system = potential.createSystem(engines.topology(atoms))
    assert system.usesPeriodicBoundaryConditions() == atoms.pbc.all()
    assert system.getNumConstraints() == 0
    for platform in ("Reference", "CPU"):
        answer = engines.evaluate(engines.context(system, platform), atoms.positions)
        engines.assert_agree(answer, engines.reference(tiny_file, atoms))
    double = potential.createSystem(engines.topology(atoms), precision="double")
    answer = engines.evaluate(engines.context(copy.deepcopy(double)), atoms.positions)
    engines.assert_agree(answer, engines.reference(tiny_file, atoms), tight=True)


@pytest.mark.parametrize("size", SIZES)
def test_the_shipped_students_by_name(size, engines):
    pdb = app.PDBFile(str(DIPEPTIDE))
    numbers = [atom.element.atomic_number for atom in pdb.topology.atoms()]
    atoms = Atoms(numbers, np.array(pdb.positions._value) * 10)
    expected = engines.reference(size, atoms)
    atoms.calc = StudentCalculator(size)
    engines.assert_agree((atoms.get_potential_energy(), atoms.get_forces()), expected)
    system = MLPotential(f"distill-{size}").createSystem(pdb.topology)
    for platform in ("Reference", "CPU"):
        answer = engines.evaluate(engines.context(system, platform), atoms.positions)
        engines.assert_agree(answer, expected)


@pytest.mark.parametrize("periodic", [False, True])
def test_a_mixed_system(potential, tiny_file, periodic, engines):
    solvated = Solvated(periodic)
    # across the border of the box
    solvated.positions += [0.05, -0.3, 0.9]
    system = potential.createMixedSystem(solvated.topology, solvated.mm, solvated.ml)
    assert system.usesPeriodicBoundaryConditions() == periodic
    expected = solvated.expected(tiny_file, engines)
    for platform in ("Reference", "CPU"):
        assert_close(evaluate(engines, system, solvated.positions, platform), expected)


@pytest.mark.parametrize("method", [app.NoCutoff, app.PME], ids=str)
def test_interpolation(potential, method, engines):
    solvated = Solvated(periodic=method is app.PME, method=method)
    args = solvated.topology, solvated.mm, solvated.ml
    system = potential.createMixedSystem(*args, interpolate=True)
    mm = evaluate(engines, solvated.mm, solvated.positions)
    mixed = evaluate(engines, potential.createMixedSystem(*args), solvated.positions)
    assert abs(mm[0] - mixed[0]) > 1.0
    for x in (0.0, 0.5, 1.0):
        answer = evaluate(engines, system, solvated.positions, lambda_interpolate=x)
        assert_close(answer, [(1 - x) * a + x * b for a, b in zip(mm, mixed, strict=True)])


def test_constraints_within_the_student_are_removed(potential):
    solvated = Solvated(periodic=True, constraints=app.HBonds)
    before = solvated.mm.getNumConstraints()
    system = potential.createMixedSystem(solvated.topology, solvated.mm, solvated.ml)
    left = {system.getConstraintParameters(k)[0] for k in range(system.getNumConstraints())}
    assert before == 12 + 3 * 40 and len(left) and min(left) >= 22
    assert system.getNumConstraints() == 3 * 40


def test_a_student_of_half_a_molecule(potential, engines, rng):
    """OpenMM-ML closes the cut bond with a link atom; forces remain the energy's derivative."""
    pdb = app.PDBFile(str(DIPEPTIDE))
    mm = Solvated.forcefield.createSystem(pdb.topology)
    info = potential.createMixedSystem(
        pdb.topology, mm, list(range(6)), returnInfo=True, precision="double"
    )
    context = engines.context(info["system"])
    positions = np.zeros((info["system"].getNumParticles(), 3))
    positions[info["oldToNew"]] = np.array(pdb.positions._value)
    direction = np.zeros_like(positions)
    direction[info["oldToNew"]] = rng.normal(size=(22, 3))

    def at(step):
        context.setPositions(positions + step * direction)
        context.computeVirtualSites()
        state = context.getState(energy=True, forces=True)
        return state.getPotentialEnergy()._value, np.array(state.getForces(asNumpy=True)._value)

    assert len(positions) == 23
    step = 2e-6
    slope = (at(step)[0] - at(-step)[0]) / (2 * step)
    assert (at(0.0)[1] * direction).sum() == pytest.approx(-slope, rel=1e-5, abs=1e-2)


def test_mixed_md_runs(potential, engines):
    solvated = Solvated(periodic=True, constraints=app.HBonds)
    system = potential.createMixedSystem(solvated.topology, solvated.mm, solvated.ml)
    integrator = openmm.LangevinMiddleIntegrator(300, 1.0, 0.0002)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("CPU"))
    context.setPositions(solvated.positions)
    integrator.step(20)
    after = context.getState(positions=True).getPositions(asNumpy=True)._value
    assert np.isfinite(after).all() and not np.array_equal(after, solvated.positions)


def test_unknown_elements_are_refused_at_create_system(potential, engines):
    salt = engines.topology(Atoms("CNa", [[0, 0, 0], [0, 0, 3]]))
    with pytest.raises(DistillError, match="does not know Na"):
        potential.createSystem(salt)
    mm = engines.system(Atoms("CNa"))
    potential.createMixedSystem(salt, mm, [0])
    with pytest.raises(DistillError, match="does not know Na"):
        potential.createMixedSystem(salt, mm, [0, 1])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"charge": 2}, r"charge 0, 1 only, not \+2"),
        ({"charge": -1.0}, "charge 0, 1 only, not -1"),
        ({"multiplicity": 3}, "no multiplicity"),
    ],
)
def test_charge_and_multiplicity_are_refused(potential, drug, engines, options, match):
    with pytest.raises(DistillError, match=match):
        potential.createSystem(engines.topology(drug), **options)
    potential.createSystem(engines.topology(drug), charge=1, multiplicity=1)


def test_bad_options(potential, drug, engines, tiny_file, tmp_path):
    topology = engines.topology(drug)
    with pytest.raises(DistillError, match="'single' or 'double'"):
        potential.createSystem(topology, precision="half")
    with pytest.raises(DistillError, match="needs modelPath"):
        MLPotential("distill")
    with pytest.raises(DistillError, match="takes no modelPath"):
        MLPotential("distill-tiny", modelPath=tiny_file)
    with pytest.raises(DistillError, match="No student file at"):
        MLPotential("distill", modelPath=tmp_path / "nothing").createSystem(topology)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"precison": "double"}, "does not know 'precison'; did you mean 'precision'"),
        ({"removeCMmotion": False}, "did you mean 'removeCMMotion'"),
        ({"dtype": "float64"}, "does not know 'dtype'; it takes precision, device"),
        ({"nonbondedMethod": app.PME}, "does not know 'nonbondedMethod'"),
        ({"linkAtomDistances": []}, "does not know 'linkAtomDistances'"),
        ({"constraints": app.HBonds}, "leave constraints out"),
        ({"hydrogenMass": 3.0}, "distill_openmm.add_bonds"),
    ],
)
def test_arguments_that_are_not_known(potential, drug, engines, options, sentence):
    topology = engines.topology(drug)
    with pytest.raises(DistillError, match=sentence):
        potential.createSystem(topology, **options)
    potential.createSystem(topology, removeCMMotion=False, constraints=None, hydrogenMass=None)


def test_arguments_of_mixed_systems(potential, solvated_dipeptide, tiny_file):
    topology, mm, _ = solvated_dipeptide
    for options, sentence in (
        ({"hydrogenMass": 3.0}, "the force field's createSystem"),
        ({"forcegroup": 3}, "did you mean 'forceGroup'"),
        ({"interpolat": True}, "did you mean 'interpolate'"),
    ):
        with pytest.raises(DistillError, match=sentence):
            potential.createMixedSystem(topology, mm, range(22), **options)
    distance = 0.11 * unit.nanometer
    potential.createMixedSystem(
        topology, mm, list(range(6)), linkAtomDistances=[(4, 6, distance)], forceGroup=2
    )
    with pytest.raises(DistillError, match="MLPotential does not know 'precison'; it takes model"):
        MLPotential("distill", modelPath=tiny_file, precison="double")


def test_hydrogen_masses(potential, drug, engines):
    """What a force field of OpenMM's makes of them."""
    pdb = app.PDBFile(str(DIPEPTIDE))
    for mass in (3.0, 3.0 * unit.dalton):
        system = potential.createSystem(pdb.topology, hydrogenMass=mass)
        expected = Solvated.forcefield.createSystem(pdb.topology, hydrogenMass=3.0)
        for k in range(22):
            found, force_field = (s.getParticleMass(k)._value for s in (system, expected))
            assert found == pytest.approx(force_field, rel=1e-3)
    with pytest.raises(DistillError, match="leaves .* Da for atom"):
        potential.createSystem(pdb.topology, hydrogenMass=6.0)
