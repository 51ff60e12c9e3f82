"""Students in files, molecules and OpenMM systems for the plugins' tests."""

from pathlib import Path

import numpy as np
import openmm
import pytest
import torch
from ase import Atoms, units
from ase.build import molecule
from openmm import app
from openmm.app.element import Element

from distill.student import SIZES, Student, save_student
from distill.student.neighbours import neighbour_list


@pytest.fixture(scope="session", params=SIZES)
def student_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of every size with random weights and large reference energies."""
    return _save(request.param, tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save("tiny", tmp_path_factory.mktemp("student"))


def _save(size: str, folder: Path) -> Path:
    student = Student.untrained(size, seed=7)
    student.reference.copy_(torch.linspace(-15.0, -2000.0, len(student.reference)))
    student.card = {"charges": [0, 1]}
    path = folder / f"{size}.safetensors"
    save_student(student, path)
    return path


@pytest.fixture
def drug(rng: np.random.Generator) -> Atoms:
    """Two molecules beside each other: more atoms than one, and pairs around the cutoff."""
    first, second = molecule("C6H6"), molecule("CH3CONH2")
    second.positions += [1.0, 2.0, 3.6]
    atoms = first + second
    atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
    return atoms


@pytest.fixture
def crystal(rng: np.random.Generator) -> Atoms:
    """Two waters and a methane in a triclinic box smaller than the cutoff."""
    box = np.array([[4.9, 0.0, 0.0], [1.6, 5.2, 0.0], [-2.1, 1.3, 6.4]])
    atoms = molecule("H2O")
    other, methane = molecule("H2O"), molecule("CH4")
    other.positions += [0.5, 2.8, 0.3]
    methane.positions += [1.5, 1.5, 3.2]
    atoms = atoms + other + methane
    atoms.set_cell(box)
    atoms.pbc = True
    atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
    return atoms


@pytest.fixture(scope="session")
def solvated_dipeptide() -> tuple[app.Topology, openmm.System, np.ndarray]:
    """Alanine dipeptide in a box of 40 waters, by Amber14; positions in nm."""
    pdb = app.PDBFile(str(Path(__file__).parents[2] / "examples" / "alanine_dipeptide.pdb"))
    forcefield = app.ForceField("amber14-all.xml", "amber14/tip3p.xml")
    model = app.Modeller(pdb.topology, pdb.positions)
    model.addSolvent(forcefield, boxSize=openmm.Vec3(2.0, 2.0, 2.0), model="tip3p")
    model.delete([r for r in model.topology.residues() if r.name == "HOH"][40:])
    system = forcefield.createSystem(model.topology, nonbondedMethod=app.PME, nonbondedCutoff=0.9)
    return model.topology, system, np.array(model.positions._value)


class Engines:
    """The same system in the float64 reference and in OpenMM."""

    @staticmethod
    def topology(atoms: Atoms) -> app.Topology:
        topology = app.Topology()
        residue = topology.addResidue("MOL", topology.addChain())
        for z in atoms.numbers:
            topology.addAtom("X", Element.getByAtomicNumber(int(z)), residue)
        if atoms.pbc.all():
            topology.setPeriodicBoxVectors(atoms.cell.array * 0.1 * openmm.unit.nanometer)
        return topology

    @staticmethod
    def system(atoms: Atoms, *forces: openmm.Force) -> openmm.System:
        system = openmm.System()
        for mass in atoms.get_masses():
            system.addParticle(mass)
        if atoms.pbc.all():
            system.setDefaultPeriodicBoxVectors(*(openmm.Vec3(*v) for v in atoms.cell.array * 0.1))
        for force in forces:
            system.addForce(force)
        return system

    @staticmethod
    def context(system: openmm.System, platform: str = "Reference") -> openmm.Context:
        integrator = openmm.VerletIntegrator(0.0005)
        return openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))

    @staticmethod
    def evaluate(
        context: openmm.Context, positions: np.ndarray, **which: object
    ) -> tuple[float, np.ndarray]:
        """Energy in eV and forces in eV/Å, for positions in Å."""
        context.setPositions(positions * 0.1)
        state = context.getState(energy=True, forces=True, **which)
        ev = units.kJ / units.mol
        forces = state.getForces(asNumpy=True)._value
        return state.getPotentialEnergy()._value * ev, np.array(forces) * ev * 0.1

    @staticmethod
    def reference(path: Path, atoms: Atoms) -> tuple[float, np.ndarray]:
        """The student in float64 with vesin's list: what every engine must agree with."""
        from distill import load_student

        student = load_student(path, dtype=torch.float64)
        edges = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, student.cutoff)
        energy, forces = student(
            torch.tensor(atoms.positions),
            torch.tensor(atoms.numbers),
            *(torch.tensor(part) for part in edges),
        )
        return energy.item(), forces.numpy()

    @staticmethod
    def assert_agree(
        answer: tuple[float, np.ndarray], expected: tuple[float, np.ndarray], tight: bool = False
    ) -> None:
        """1e-5 eV/atom and 1e-4 eV/Å, the tolerance of the design; tight: float64 on both sides."""
        per_atom, per_force = (1e-9, 1e-7) if tight else (1e-5, 1e-4)
        assert abs(answer[0] - expected[0]) / len(expected[1]) < per_atom
        np.testing.assert_allclose(answer[1], expected[1], rtol=0, atol=per_force)


@pytest.fixture(scope="session")
def engines() -> type[Engines]:
    return Engines
