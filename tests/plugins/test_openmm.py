"""The TorchForce: agreement with ASE and float64, subsets, boxes, and errors at creation."""

import copy
import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import pytest
from ase import Atoms
from openmm import app

from distill import DistillError, load_student
from distill_ase import StudentCalculator
from distill_openmm import create_force


@pytest.mark.parametrize("frame", ["drug", "crystal"])
def test_ase_and_both_platforms_agree_with_float64(student_file, frame, request, engines):
    atoms = request.getfixturevalue(frame)
    expected = engines.reference(student_file, atoms)
    atoms.calc = StudentCalculator(student_file)
    engines.assert_agree((atoms.get_potential_energy(), atoms.get_forces()), expected)
    for kind in ("torch", "python"):
        force = create_force(student_file, engines.topology(atoms), kind=kind)
        assert force.usesPeriodicBoundaryConditions() == atoms.pbc.all()
        system = engines.system(atoms, force)
        for platform in ("Reference", "CPU"):
            context = engines.context(system, platform)
            engines.assert_agree(engines.evaluate(context, atoms.positions), expected)


def test_double_precision(tiny_file, crystal, engines):
    force = create_force(tiny_file, engines.topology(crystal), dtype="float64")
    context = engines.context(engines.system(crystal, force))
    answer = engines.evaluate(context, crystal.positions)
    engines.assert_agree(answer, engines.reference(tiny_file, crystal), tight=True)


def test_a_student_object_is_copied(tiny_file, drug, engines):
    student = load_student(tiny_file)
    force = create_force(student, engines.topology(drug), dtype="float64")
    context = engines.context(engines.system(drug, force))
    answer = engines.evaluate(context, drug.positions)
    engines.assert_agree(answer, engines.reference(tiny_file, drug), tight=True)
    assert next(student.parameters()).dtype.itemsize == 4


@pytest.mark.parametrize("frame", ["drug", "crystal"])
def test_every_step_of_a_walk_agrees(tiny_file, frame, request, rng, engines):
    atoms = request.getfixturevalue(frame)
    force = create_force(tiny_file, engines.topology(atoms), dtype="float64", skin=0.6)
    context = engines.context(engines.system(atoms, force), "CPU")
    for _ in range(25):
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
        answer = engines.evaluate(context, atoms.positions)
        engines.assert_agree(answer, engines.reference(tiny_file, atoms), tight=True)


def test_molecules_that_have_diffused_far(tiny_file, crystal, engines, rng):
    """float32 students too: distances are taken in OpenMM's float64 positions."""
    expected = engines.reference(tiny_file, crystal)
    context = engines.context(
        engines.system(crystal, create_force(tiny_file, engines.topology(crystal)))
    )
    whole = rng.integers(-300, 300, size=(len(crystal), 3))
    answer = engines.evaluate(context, crystal.positions + whole @ crystal.cell.array)
    engines.assert_agree(answer, expected)


def test_a_box_that_changes(tiny_file, crystal, engines):
    force = create_force(tiny_file, engines.topology(crystal), dtype="float64")
    context = engines.context(engines.system(crystal, force))
    for scale in (1.0, 1.03, 0.98):
        crystal.set_cell(crystal.cell.array * scale)
        context.setPeriodicBoxVectors(*crystal.cell.array * 0.1)
        answer = engines.evaluate(context, crystal.positions)
        engines.assert_agree(answer, engines.reference(tiny_file, crystal), tight=True)


def test_periodic_can_be_chosen(tiny_file, crystal, engines):
    topology = engines.topology(crystal)
    context = engines.context(
        engines.system(crystal, create_force(tiny_file, topology, periodic=False))
    )
    answer = engines.evaluate(context, crystal.positions)
    crystal.pbc = False
    engines.assert_agree(answer, engines.reference(tiny_file, crystal))


@pytest.mark.parametrize("kind", ["torch", "python"])
@pytest.mark.parametrize("frame", ["drug", "crystal"])
def test_a_subset(tiny_file, frame, kind, request, engines):
    atoms = request.getfixturevalue(frame)
    chosen = [7, 2, 3, 0]
    force = create_force(
        tiny_file, engines.topology(atoms), iter(chosen), dtype="float64", kind=kind
    )
    context = engines.context(engines.system(atoms, force))
    energy, forces = engines.evaluate(context, atoms.positions)
    expected = engines.reference(tiny_file, atoms[chosen])
    engines.assert_agree((energy, forces[chosen]), expected, tight=True)
    others = np.setdiff1d(np.arange(len(atoms)), chosen)
    np.testing.assert_array_equal(forces[others], 0.0)


@pytest.mark.parametrize("kind", ["torch", "python"])
def test_two_contexts_share_a_force(tiny_file, drug, engines, rng, kind):
    force = create_force(tiny_file, engines.topology(drug), dtype="float64", kind=kind)
    system = engines.system(drug, force)
    first, second = engines.context(system), engines.context(system, "CPU")
    other = drug.copy()
    other.positions += rng.normal(scale=0.4, size=other.positions.shape)
    for _ in range(2):
        for context, atoms in ((first, drug), (second, other)):
            answer = engines.evaluate(context, atoms.positions)
            engines.assert_agree(answer, engines.reference(tiny_file, atoms), tight=True)


def test_the_system_survives_xml(tiny_file, crystal, engines):
    """Copies, clusters and CustomCVForce read a System this way; a TorchForce cannot be."""
    force = create_force(tiny_file, engines.topology(crystal), dtype="float64", kind="python")
    system = engines.system(crystal, force)
    engines.evaluate(engines.context(system), crystal.positions)
    again = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
    crystal.rattle(0.3)
    answer = engines.evaluate(engines.context(again), crystal.positions)
    engines.assert_agree(answer, engines.reference(tiny_file, crystal), tight=True)


def test_npt(tiny_file, crystal, engines):
    """The box changes while the integrator runs; state and engine still agree."""
    force = create_force(tiny_file, engines.topology(crystal), dtype="float64")
    system = engines.system(crystal, force, openmm.MonteCarloBarostat(1.0, 300.0, 5))
    integrator = openmm.LangevinMiddleIntegrator(300.0, 1.0, 0.0001)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(crystal.positions * 0.1)
    integrator.step(40)
    state = context.getState(positions=True)
    box = state.getPeriodicBoxVectors(asNumpy=True)._value * 10.0
    assert not np.allclose(box, crystal.cell.array)
    crystal.set_cell(box)
    crystal.positions = state.getPositions(asNumpy=True)._value * 10.0
    answer = engines.evaluate(context, crystal.positions)
    engines.assert_agree(answer, engines.reference(tiny_file, crystal), tight=True)


def test_nve_conserves_energy(tiny_file, drug, engines):
    system = engines.system(drug, create_force(tiny_file, engines.topology(drug)))
    integrator = openmm.VerletIntegrator(0.0001)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("CPU"))
    context.setPositions(drug.positions * 0.1)
    total, kinetic = [], []
    for _ in range(30):
        integrator.step(3)
        state = context.getState(energy=True)
        kinetic.append(state.getKineticEnergy()._value)
        total.append(kinetic[-1] + state.getPotentialEnergy()._value)
    assert np.ptp(kinetic) > 1.0, "nothing moved"
    assert np.ptp(total[3:]) < 0.03 * np.ptp(kinetic)


@pytest.mark.parametrize("backend", ["kernel", "torch"])
def test_a_broken_simulation_says_so(tiny_file, drug, engines, backend):
    topology = engines.topology(drug)
    force = create_force(tiny_file, topology, kind="python", backend=backend)
    context = engines.context(engines.system(drug, force))
    drug.positions[3, 1] = np.nan
    with pytest.raises(openmm.OpenMMException, match="coordinate.* is NaN"):
        engines.evaluate(context, drug.positions)


def test_a_broken_simulation_ends_in_nan(tiny_file, drug, engines):
    """A TorchForce of the kernel: an error inside of it would end the process."""
    context = engines.context(engines.system(drug, create_force(tiny_file, engines.topology(drug))))
    good = engines.evaluate(context, drug.positions)
    broken = drug.positions.copy()
    broken[3, 1] = np.nan
    energy, forces = engines.evaluate(context, broken)
    assert np.isnan(energy) and np.isnan(forces).all()
    again = engines.evaluate(context, drug.positions)
    assert again[0] == good[0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"atoms": [0, 99]}, "from 0 to 99, but there are atoms 0 to 8"),
        ({"atoms": [-1, 0]}, "from -1 to 0"),
        ({"atoms": [2, 1, 2]}, "listed twice"),
        ({"atoms": []}, "no atom"),
        ({"dtype": "half"}, "'float32' or 'float64'"),
        ({"kind": "cuda"}, "'torch' or 'python'"),
        ({"skin": 0.0}, "positive length"),
        ({"skin": float("nan")}, "positive length"),
    ],
)
def test_bad_options(tiny_file, engines, options, sentence):
    from ase.build import molecule

    with pytest.raises(DistillError, match=sentence):
        create_force(tiny_file, engines.topology(molecule("CH3CH2OH")), **options)


def test_unknown_elements_are_refused_at_creation(tiny_file, engines):
    from ase import Atoms

    topology = engines.topology(Atoms("CNaK", np.eye(3) * 3))
    with pytest.raises(DistillError, match="does not know K Na"):
        create_force(tiny_file, topology)
    create_force(tiny_file, topology, atoms=[0])


def test_virtual_sites_are_refused_at_creation(tiny_file):
    topology = app.Topology()
    residue = topology.addResidue("HOH", topology.addChain())
    topology.addAtom("O", app.element.oxygen, residue)
    topology.addAtom("M", None, residue)
    with pytest.raises(DistillError, match=r"Atom 1 \(M\) has no element"):
        create_force(tiny_file, topology)


KINDS = pytest.mark.parametrize("kind", ["torch", "python"])


@KINDS
@pytest.mark.parametrize("frame", ["drug", "crystal"])
@pytest.mark.parametrize("chosen", [None, [0, 1, 4, 2], [4, 2, 9]])
def test_particles_that_the_topology_has_not(tiny_file, frame, chosen, kind, request, engines):
    """A virtual site and a dummy, which the student does not see, on several Contexts."""
    atoms = request.getfixturevalue(frame)
    force = create_force(tiny_file, engines.topology(atoms), chosen, dtype="float64", kind=kind)
    system = engines.system(atoms, force)
    site = system.addParticle(0.0)
    system.setVirtualSite(site, openmm.TwoParticleAverageSite(0, 1, 0.5, 0.5))
    system.addParticle(12.0)
    positions = np.vstack([atoms.positions, [[9.0, 9.0, 9.0], atoms.positions[0] + 0.3]])
    own = list(range(len(atoms))) if chosen is None else chosen
    expected = engines.reference(tiny_file, atoms[own])
    for platform in ("Reference", "CPU", "Reference"):
        context = engines.context(system, platform)
        for _ in range(3):
            energy, forces = engines.evaluate(context, positions)
            engines.assert_agree((energy, forces[own]), expected, tight=True)
            assert not np.delete(forces, own, 0).any()
    context.getIntegrator().step(5)


@KINDS
@pytest.mark.parametrize("backend", ["auto", "torch"])
@pytest.mark.parametrize("chosen", [None, [0, 8]])
def test_a_system_of_too_few_particles(tiny_file, drug, engines, kind, chosen, backend):
    """An error that can be caught, however often the module has run in the process before."""
    options = {"kind": kind, "backend": backend}
    topology = engines.topology(drug)
    good = engines.context(engines.system(drug, create_force(tiny_file, topology, **options)))
    for _ in range(3):
        engines.evaluate(good, drug.positions)
    few = drug[:8]
    context = engines.context(
        engines.system(few, create_force(tiny_file, topology, chosen, **options))
    )
    last = len(drug) - 1 if chosen is None else 8
    for _ in range(3):
        with pytest.raises(
            openmm.OpenMMException, match=f"System has 8 particles, but .* index {last}"
        ):
            engines.evaluate(context, few.positions)
    engines.evaluate(good, drug.positions)


@KINDS
def test_a_system_that_is_known_is_checked_at_once(tiny_file, drug, engines, kind):
    topology, system = engines.topology(drug), engines.system(drug)
    with pytest.raises(DistillError, match="System has 5 particles, but .* up to index 6"):
        create_force(tiny_file, topology, [1, 6], kind=kind, system=engines.system(drug[:5]))
    chosen = [7, 2, 3]
    system.addForce(
        create_force(tiny_file, topology, chosen, kind=kind, dtype="float64", system=system)
    )
    energy, forces = engines.evaluate(engines.context(system), drug.positions)
    expected = engines.reference(tiny_file, drug[chosen])
    engines.assert_agree((energy, forces[chosen]), expected, tight=True)
    assert not np.delete(forces, chosen, 0).any()


def test_errors_inside_a_torch_force_can_be_caught(tiny_file, drug, engines):
    """Where there is no kernel, torch's neighbour list refuses NaN."""
    topology = engines.topology(drug)
    force = create_force(tiny_file, topology, backend="torch")
    context = engines.context(engines.system(drug, force))
    good = engines.evaluate(context, drug.positions)
    broken = drug.positions.copy()
    broken[3, 1] = np.nan
    for _ in range(3):
        with pytest.raises(openmm.OpenMMException, match="coordinate that is NaN"):
            engines.evaluate(context, broken)
        assert engines.evaluate(context, drug.positions)[0] == pytest.approx(good[0], abs=1e-4)


def dipeptide(engines, limit: float | None = None) -> tuple[app.Simulation, Any]:
    """Alanine dipeptide by a shipped student, and the student's alarm."""
    pdb = app.PDBFile(str(Path(__file__).parents[2] / "examples" / "alanine_dipeptide.pdb"))
    numbers = [atom.element.atomic_number for atom in pdb.topology.atoms()]
    atoms = Atoms(numbers, np.array(pdb.positions._value) * 10)
    student = load_student("ultra-tiny")
    if limit is not None:
        student.latent = dataclasses.replace(student.latent, limit=limit)
    force = create_force(student, pdb.topology, kind="python")
    integrator = openmm.LangevinMiddleIntegrator(300.0, 1.0, 0.0005)
    platform = openmm.Platform.getPlatform("Reference")
    simulation = app.Simulation(pdb.topology, engines.system(atoms, force), integrator, platform)
    simulation.context.setPositions(atoms.positions * 0.1)
    return simulation, force.alarm


def test_the_alarm_looks_at_what_is_kept(engines):
    """At every step of MD once, whatever else is asked for; at nothing that a minimizer tries."""
    simulation, alarm = dipeptide(engines, limit=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulation.minimizeEnergy(maxIterations=20)
    assert alarm.looked == 0
    with pytest.warns(UserWarning, match="unlike all that the student") as told:
        simulation.step(5)
        for _ in range(3):  # what reporters do
            simulation.context.getState(energy=True, forces=True)
        simulation.step(7)
    assert alarm.looked == alarm.strange == 12
    assert len(told) == 2 and "10 of 10 geometries have such an atom" in str(told[1].message)
    # geometries that are asked for count, though no step was made
    start = simulation.context.getState(positions=True).getPositions(asNumpy=True)._value
    for k in range(3):
        simulation.context.setPositions(start + 0.001 * k)
        simulation.context.getState(energy=True)
    assert 14 <= alarm.looked <= 15


def test_the_alarm_keeps_silent(engines):
    simulation, alarm = dipeptide(engines)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulation.minimizeEnergy(maxIterations=50)
        simulation.step(50)
    assert (alarm.looked, alarm.strange) == (50, 0)
    assert str(alarm) == "0 of 50 geometries have such an atom"


def test_md_that_goes_astray_is_told_once(engines):
    """A shipped student on alanine dipeptide, then on the same smashed."""
    pdb = app.PDBFile(str(Path(__file__).parents[2] / "examples" / "alanine_dipeptide.pdb"))
    numbers = [atom.element.atomic_number for atom in pdb.topology.atoms()]
    atoms = Atoms(numbers, np.array(pdb.positions._value) * 10)
    system = engines.system(atoms, create_force("tiny", pdb.topology, kind="python"))
    context = engines.context(copy.deepcopy(system))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engines.evaluate(context, atoms.positions)
    with pytest.warns(UserWarning, match="unlike all that the student has learned"):
        engines.evaluate(context, 0.6 * atoms.positions)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engines.evaluate(context, 0.6 * atoms.positions)
