"""MD by `distill run`'s engine: what it leaves, and what the student says of the frames."""

import csv
import json
from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import app, unit

from distill import load_student
from distill.data.explore import first_geometries
from distill.data.molecules import from_smiles
from distill_openmm.md import run_md
from distill_openmm.minimize import relax
from distill_openmm.topology import system_of, topology_of

ETHANOL = from_smiles("CCO")


def run(out: Path, temperature: float, timestep: float = 1.0) -> dict:
    (start,) = first_geometries(ETHANOL, 1, 0)
    return run_md(
        load_student("tiny"), ETHANOL, start, out, temperature=temperature,
        picoseconds=400 * timestep / 1000, interval=50, timestep=timestep,
    )  # fmt: skip


def test_files_and_report(tmp_path: Path) -> None:
    report = run(tmp_path, 300.0)
    assert (tmp_path / "topology.pdb").is_file() and (tmp_path / "trajectory.dcd").is_file()
    rows = list(csv.DictReader((tmp_path / "md.csv").open()))
    assert len(rows) == 8 and report["steps"] == 400 and report["frames"] == 8
    assert report["ns_per_day"] > 0
    later = [float(row["temperature_k"]) for row in rows[1:]]  # but for the first fifth
    assert report["mean_temperature"] == pytest.approx(np.mean(later))
    assert not [name for name in report if name.startswith("mean") and name.endswith("_k")]


def test_the_student_says_when_it_is_lost(tmp_path: Path) -> None:
    cold, hot = (run(tmp_path, t, timestep=dt) for t, dt in ((300.0, 1.0), (30000.0, 0.2)))
    assert cold["frames_unlike_training"] == 0
    assert hot["frames_unlike_training"] > 0
    assert hot["uncertainty"] > 3 * cold["uncertainty"]
    assert cold["uncertainty"] == pytest.approx(0.1, abs=0.1)  # eV/Å


def test_a_minimization_that_goes_astray_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    molecule = from_smiles("CCO")
    start = first_geometries(molecule, 1, 0)[0]
    topology = topology_of(molecule)
    simulation = app.Simulation(
        topology, system_of(load_student("tiny"), topology), openmm.VerletIntegrator(0.001),
        openmm.Platform.getPlatform("Reference"),
    )  # fmt: skip
    simulation.context.setPositions(start * 0.1)

    def positions() -> np.ndarray:
        state = simulation.context.getState(positions=True)
        return state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)

    def astray(*_: object) -> None:
        simulation.context.setPositions(start * 0.01)

    with monkeypatch.context() as patch:
        patch.setattr(openmm.LocalEnergyMinimizer, "minimize", astray)
        assert not relax(simulation.context, molecule.numbers, 50)
    np.testing.assert_allclose(positions(), start, atol=1e-6)
    assert relax(simulation.context, molecule.numbers, 50)
    assert 0.001 < np.abs(positions() - start).max() < 1.0


def test_isotopes_have_their_masses() -> None:
    from rdkit import Chem

    masses = Chem.GetPeriodicTable()
    heavy = from_smiles("[2H]O[13CH3]")
    topology = topology_of(heavy)
    system = system_of("ultra-tiny", topology)
    found = [system.getParticleMass(k)._value for k in range(len(heavy))]
    expected = [
        masses.GetMassForIsotope(a.GetAtomicNum(), a.GetIsotope()) if a.GetIsotope()
        else app.Element.getByAtomicNumber(a.GetAtomicNum()).mass._value
        for a in heavy.rdmol.GetAtoms()
    ]  # fmt: skip
    assert found == pytest.approx(expected)
    assert sum(found) == pytest.approx(32.04 + 1.006 + 0.993, abs=0.01)
    assert app.Element.getByAtomicNumber(1).mass._value == pytest.approx(1.008, abs=1e-3)


def test_a_molecule_that_comes_apart_is_told(tmp_path: Path) -> None:
    report = run(tmp_path, 300.0, timestep=5.0)
    assert "The molecule came apart within" in report["broke_up"] and report["steps"] == 400
    assert "broke_up" not in run(tmp_path, 300.0)


@pytest.mark.parametrize("part", ["reference", "painn.readout.0.weight"])
def test_energies_or_forces_that_are_no_numbers(tmp_path: Path, part: str) -> None:
    """MD ends there; nothing is raised, and the files are there."""
    student = load_student("ultra-tiny")
    student.state_dict()[part].fill_(float("nan"))
    (start,) = first_geometries(ETHANOL, 1, 0)
    report = run_md(student, ETHANOL, start, tmp_path, picoseconds=0.4, interval=50)
    assert "coordinates or energies are no numbers" in report["broke_up"]
    assert report["steps"] < 400
    assert len(list(csv.DictReader((tmp_path / "md.csv").open()))) == report["steps"] // 50
    assert (tmp_path / "topology.pdb").is_file() and (tmp_path / "trajectory.dcd").is_file()
    json.dumps(report)
