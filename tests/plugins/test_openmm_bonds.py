"""Bonds of no strength: molecules that OpenMM sees, trajectories, barostats, energies."""

from pathlib import Path

import mdtraj
import numpy as np
import openmm
import pytest
from ase import Atoms
from ase.build import molecule
from openmm import app, unit
from openmmml import MLPotential

from distill_openmm import add_bonds, zero_bonds
from distill_openmm.topology import system_of

BOX = 1.6  # nm
REFERENCE = openmm.Platform.getPlatform("Reference")


def molecules(system: openmm.System) -> list[list[int]]:
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), REFERENCE)
    return sorted(sorted(m) for m in context.getMolecules())


def liquid(residues: bool, bonds: bool) -> tuple[app.Topology, np.ndarray]:
    """Four methanols, one across a corner of the box; positions in nm."""
    topology = app.Topology()
    chain, one = topology.addChain(), molecule("CH3OH")
    residue, positions = topology.addResidue("MOL", chain), []
    for k in range(4):
        if residues and k:
            residue = topology.addResidue("MOL", chain)
        for z in one.numbers:
            topology.addAtom("X", app.Element.getByAtomicNumber(int(z)), residue)
        positions.append(0.1 * one.positions + 0.5 * BOX * np.array([k % 2, k // 2, k % 2]))
    topology.setPeriodicBoxVectors(np.eye(3) * BOX * unit.nanometer)
    if bonds:
        add_bonds(topology, np.concatenate(positions))
    return topology, np.concatenate(positions)


FOUR = [list(range(6 * k, 6 * k + 6)) for k in range(4)]


@pytest.mark.parametrize(("residues", "bonds"), [(True, True), (True, False), (False, True)])
def test_the_molecules_of_a_liquid(residues: bool, bonds: bool) -> None:
    topology, _ = liquid(residues, bonds)
    assert molecules(system_of("ultra-tiny", topology)) == FOUR
    assert molecules(MLPotential("distill-ultra-tiny").createSystem(topology)) == FOUR


def test_what_cannot_be_known_is_told() -> None:
    """One residue of four molecules without bonds."""
    topology, _ = liquid(residues=False, bonds=False)
    with pytest.warns(UserWarning, match=r"no bonds in MOL 1.*distill_openmm.add_bonds"):
        assert zero_bonds(topology).getNumBonds() == 0


def test_bonds_across_the_box() -> None:
    topology, positions = liquid(True, False)
    before = {frozenset((b[0].index, b[1].index)) for b in liquid(True, True)[0].bonds()}
    add_bonds(topology, (positions % BOX) * 10 * unit.angstrom)
    add_bonds(topology, positions)  # not twice
    found = [frozenset((b[0].index, b[1].index)) for b in topology.bonds()]
    assert len(found) == 20 and set(found) == before


def test_a_trajectory_and_a_barostat_keep_molecules_whole(tmp_path: Path) -> None:
    topology, positions = liquid(True, True)
    system = system_of("ultra-tiny", topology)
    system.addForce(openmm.MonteCarloBarostat(2000.0, 300.0, 1))
    # so short a step that only the barostat moves atoms
    simulation = app.Simulation(topology, system, openmm.VerletIntegrator(1e-9), REFERENCE)
    simulation.context.setPositions(positions)
    file = str(tmp_path / "trajectory.dcd")
    simulation.reporters.append(app.DCDReporter(file, 10))
    simulation.step(60)
    state = simulation.context.getState(positions=True)
    after = state.getPositions(asNumpy=True)._value
    volume = state.getPeriodicBoxVolume().value_in_unit(unit.nanometer**3)
    assert volume < 0.97 * BOX**3, "the barostat did nothing"
    for one in FOUR:
        assert internal(after[one]) == pytest.approx(internal(positions[one]), abs=1e-5)
    assert not np.allclose(after[0] - after[6], positions[0] - positions[6], atol=0.003)

    found = mdtraj.load(file, top=mdtraj.Topology.from_openmm(topology))
    pairs = [(a.index, b.index) for a, b in found.topology.bonds]
    assert len(pairs) == 20
    assert mdtraj.compute_distances(found, pairs, periodic=False).max() < 0.2


def internal(positions: np.ndarray) -> np.ndarray:
    return np.linalg.norm(positions[:, None] - positions[None], axis=-1)


@pytest.mark.parametrize("interpolate", [False, True])
def test_mixed_systems(interpolate: bool, solvated_dipeptide) -> None:
    topology, mm, _ = solvated_dipeptide
    potential = MLPotential("distill-ultra-tiny")
    for ml in (list(range(22)), list(range(6))):  # the whole peptide, and a part with a link atom
        system = potential.createMixedSystem(topology, mm, ml, interpolate=interpolate)
        # the link atom is the System's last
        peptide = [*range(22), *range(topology.getNumAtoms(), system.getNumParticles())]
        found = molecules(system)
        assert found[0] == peptide
        assert len(found) == topology.getNumResidues() - 3 + 1


def test_energies_stay(engines, crystal: Atoms, tiny_file: Path) -> None:
    topology = engines.topology(crystal)
    add_bonds(topology, crystal.positions * 0.1)
    expected = engines.reference(tiny_file, crystal)
    system = system_of(tiny_file, topology, dtype="float64")
    assert len(molecules(system)) == 3 and system.getNumConstraints() == 0
    answer = engines.evaluate(engines.context(system), crystal.positions)
    engines.assert_agree(answer, expected, tight=True)
    crystal.positions[1] = crystal.positions[0] + 1e-3  # bonded atoms on top of each other
    bonds = engines.system(crystal, zero_bonds(topology))
    energy, forces = engines.evaluate(engines.context(bonds), crystal.positions)
    assert energy == 0 and not forces.any()
