"""MD of a mixed System: temperatures of its parts, the kinetic energy's distribution, NVE."""

from pathlib import Path

import numpy as np
import openmm
import physical_validation
import pytest
from openmm import app

from distill_openmm import mixed

DIPEPTIDE = Path(__file__).parents[2] / "examples" / "alanine_dipeptide.pdb"
GAS = 8.31446261815324e-3
"""kJ/mol/K."""


def small_box() -> tuple[app.Topology, openmm.System, np.ndarray]:
    """Alanine dipeptide in a drop of TIP3P, without an end of Coulomb's forces: fast, and no
    jumps."""
    forcefield = app.ForceField("amber14-all.xml", "amber14/tip3p.xml")
    pdb = app.PDBFile(str(DIPEPTIDE))
    model = app.Modeller(pdb.topology, pdb.positions)
    model.addSolvent(forcefield, boxSize=openmm.Vec3(1.6, 1.6, 1.6), model="tip3p")
    model.topology.setPeriodicBoxVectors(None)
    system = forcefield.createSystem(model.topology, constraints=app.HBonds)
    return model.topology, system, np.array(model.positions._value)


def context_of(
    system: openmm.System, positions: np.ndarray, step: float
) -> tuple[openmm.Context, openmm.CompoundIntegrator]:
    """Warm, with Langevin's integrator first and Verlet's second; step in ps."""
    warm = openmm.LangevinMiddleIntegrator(300, 10.0, step)
    warm.setRandomNumberSeed(1)
    both = openmm.CompoundIntegrator()
    both.addIntegrator(warm)
    both.addIntegrator(openmm.VerletIntegrator(step))
    both.setConstraintTolerance(1e-7)
    context = openmm.Context(system, both, openmm.Platform.getPlatform("CPU"), {"Threads": "1"})
    context.setPositions(positions)
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=200)
    context.setVelocitiesToTemperature(300, 1)
    both.step(1000)
    return context, both


@pytest.mark.slow
def test_every_part_has_the_temperature() -> None:
    """Equipartition: by atoms and constraints, the peptide's hydrogens being free and heavy."""
    topology, mm, positions = small_box()
    system = mixed("ultra-tiny", topology, mm, range(22), hydrogen_mass=3.0)
    context, integrator = context_of(system, positions, 0.0015)
    masses = np.array([system.getParticleMass(k)._value for k in range(len(positions))])
    waters = (len(positions) - 22) // 3
    share = masses[:22].sum() / masses.sum()  # of the three of the centre of mass
    freedom = np.array([66 - 3 * share, 6 * waters - 3 * (1 - share)])
    kinetic = []
    for _ in range(400):
        integrator.step(40)
        velocities = context.getState(velocities=True).getVelocities(asNumpy=True)._value
        each = 0.5 * masses * (velocities**2).sum(axis=1)
        kinetic.append([each[:22].sum(), each[22:].sum()])
    temperatures = 2 * np.mean(kinetic, axis=0) / (freedom * GAS)
    # 24 ps with a friction of 10/ps: some 200 independent samples
    errors = 300 * np.sqrt(2 / freedom / 200)
    assert np.all(abs(temperatures - 300) < 4 * errors), (temperatures, errors)

    data = physical_validation.data.SimulationData(
        units=physical_validation.data.UnitData.units("GROMACS"),
        system=physical_validation.data.SystemData(
            natoms=len(positions), nconstraints=3 * waters,
            ndof_reduction_tra=3, ndof_reduction_rot=0,
        ),
        ensemble=physical_validation.data.EnsembleData(
            "NVT", natoms=len(positions), volume=1.0, temperature=300.0
        ),
        observables=physical_validation.data.ObservableData(
            kinetic_energy=np.sum(kinetic, axis=1)
        ),
    )  # fmt: skip
    found = physical_validation.kinetic_energy.distribution(data, strict=False, verbosity=0)
    assert max(found) < 4, found  # standard errors, of mean and width


@pytest.mark.slow
@pytest.mark.parametrize("step", [0.001, 0.002])
def test_energy_is_conserved(step: float) -> None:
    """With heavy hydrogens, the peptide's free and water's rigid; step in ps."""
    topology, mm, positions = small_box()
    system = mixed("tiny", topology, mm, range(22), hydrogen_mass=3.0)
    context, integrator = context_of(system, positions, step)
    integrator.setCurrentIntegrator(1)
    integrator.step(2)
    energies = []
    for _ in range(200):
        integrator.step(10)
        state = context.getState(energy=True)
        energies.append((state.getPotentialEnergy() + state.getKineticEnergy())._value)
    kinetic = 1.5 * GAS * 300 * len(positions)
    slope = np.polyfit(10 * step * np.arange(200), energies, 1)[0]
    assert abs(slope) < 2e-4 * kinetic  # of the kinetic energy in a picosecond
    assert np.std(energies) < 1e-3 * kinetic
