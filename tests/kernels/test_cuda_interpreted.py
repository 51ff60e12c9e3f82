"""The CUDA kernels in Triton's interpreter, which needs no GPU, against the student in float64.

The interpreter must be chosen before Triton is imported, so the kernels run in another process:
this file as a program, which writes the largest differences that it has found. Where there is a GPU
it can also be run by hand, without the interpreter: see docs/cuda.md.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule

from distill import load_student
from distill.student import Student, StudentConfig
from distill.student.neighbours import neighbour_list

DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"  # of the program
FORCE = 2e-5  # eV/Å
ENERGY = 2e-6  # eV per atom
VIRIAL = 2e-5  # eV, per atom


# ---- systems and students ----------------------------------------------------------------------
def water() -> Atoms:
    atoms = molecule("H2O")
    atoms.rattle(0.05, seed=1)
    return atoms


def ethanol() -> Atoms:
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=1)
    return atoms


def aspirin() -> Atoms:
    from rdkit import Chem
    from rdkit.Chem import AllChem

    mol = Chem.AddHs(Chem.MolFromSmiles("CC(=O)Oc1ccccc1C(=O)O"))
    assert AllChem.EmbedMolecule(mol, randomSeed=1) == 0
    atoms = Atoms([a.GetSymbol() for a in mol.GetAtoms()], mol.GetConformer().GetPositions())
    atoms.rattle(0.03, seed=1)
    return atoms


def crystal() -> Atoms:
    """A triclinic cell that is smaller than the cutoff: atoms see themselves."""
    cell = [[4.0, 0.0, 0.0], [1.3, 3.8, 0.0], [-0.9, 0.7, 4.3]]
    fractional = [[0, 0, 0], [0.3, 0.1, 0.0], [0.5, 0.5, 0.5], [0.8, 0.4, 0.7], [0.1, 0.7, 0.3]]
    atoms = Atoms("COHNH", scaled_positions=fractional, cell=cell, pbc=True)
    atoms.rattle(0.05, seed=1)
    return atoms


def alone() -> Atoms:
    return Atoms("C", [[1.0, 2.0, 3.0]])


def lonely() -> Atoms:
    return water() + Atoms("N", [[30.0, 0.0, 0.0]])


def pressed() -> Atoms:
    """Bonds far shorter than they ever are: the repulsion acts."""
    atoms = water()
    atoms.positions *= 0.7
    return atoms


def untrained(size: str) -> Student:
    student = Student.untrained(size, seed=3).eval()
    student.reference.copy_(torch.linspace(-15.0, -7000.0, len(student.reference)))
    return student


def odd(layers: int) -> Student:
    """A number of features that is no power of two."""
    torch.manual_seed(5)
    return Student(StudentConfig("odd", hidden=48, layers=layers, elements=(1, 6, 7, 8))).eval()


CASES: dict[str, tuple[Callable[[], Student], Callable[[], Atoms], float]] = {
    # name: student, system, how far the neighbour list reaches (Å)
    "an atom without neighbours": (lambda: load_student("ultra-tiny"), lonely, 5.0),
    "one atom alone": (lambda: load_student("ultra-tiny"), alone, 5.0),
    "pressed": (lambda: untrained("ultra-tiny"), pressed, 5.0),
    "drug": (lambda: load_student("ultra-tiny"), aspirin, 6.0),
    "drug, untrained": (lambda: untrained("ultra-tiny"), aspirin, 5.0),
    "periodic": (lambda: load_student("ultra-tiny"), crystal, 5.0),
    "periodic, untrained, with a skin": (lambda: untrained("ultra-tiny"), crystal, 6.0),
    "tiny": (lambda: load_student("tiny"), ethanol, 6.0),
    "original": (lambda: load_student("original"), water, 6.0),
    "one layer": (lambda: odd(1), ethanol, 5.0),
    "48 features": (lambda: odd(2), ethanol, 5.0),
}
QUICK = list(CASES)[:1]
SLOW = list(CASES)[1:]
EXTRAS = ("graph", "ase", "openmm", "edges in any order", "tf32x3", "broken")  # further checks


# ---- in the other process -----------------------------------------------------------------------
def inputs(atoms: Atoms, reach: float) -> tuple[torch.Tensor, ...]:
    edges, shift = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, reach)
    arrays = (atoms.positions, atoms.numbers, edges, shift)
    return tuple(torch.tensor(x) for x in arrays)


def differences(got, wanted) -> dict[str, float]:
    kinds = ("energies", "forces", "virial")
    result = {k: float((a.cpu() - b).abs().max()) for k, a, b in zip(kinds, got, wanted)}
    result["virial"] /= len(wanted[0])
    return result


def run_case(name: str) -> dict[str, float]:
    from distill.kernels.cuda import CudaStudent

    make, system, reach = CASES[name]
    student, arguments = make(), inputs(system(), reach)
    got = CudaStudent(student, DEVICE).evaluate(*arguments, by_centre=True)
    wanted = student.double().evaluate(*arguments)
    assert [x.dtype for x in got] == [torch.float64] * 3
    return {**differences(got, wanted), "largest force": float(wanted[1].abs().max())}


def multiply_as_tensor_cores() -> None:
    """Lets the interpreter round as "tf32x3" does on a GPU: three products of 10-bit mantissas."""
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    def tf32(x: np.ndarray) -> np.ndarray:
        return (x.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)

    def dot(self, a, b, d, input_precision, max_num_imprecise_acc):
        assert "TF32x3" in str(input_precision)
        a_big, b_big = tf32(a.data), tf32(b.data)
        a_small, b_small = tf32(a.data - a_big), tf32(b.data - b_big)
        product = a_small @ b_big + a_big @ b_small + a_big @ b_big
        return TensorHandle(product + d.data, d.dtype.scalar)

    if DEVICE == "cpu":
        InterpreterBuilder.create_dot = dot


def run_openmm(student: Student) -> dict[str, float]:
    import pickle

    import openmm

    from distill.kernels.cuda.md import CudaMD
    from distill_openmm.computation import Computation, KernelEvaluate
    from distill_openmm.force import python_force

    atoms = water()
    kernel = pickle.loads(pickle.dumps(CudaMD(load_student("ultra-tiny"), DEVICE)))
    system = openmm.System()
    for mass in atoms.get_masses():
        system.addParticle(mass)
    numbers = atoms.numbers.tolist()
    computation = Computation(KernelEvaluate(kernel, numbers), numbers, None, False)
    system.addForce(python_force(computation, None))
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference")
    )
    context.setPositions(atoms.positions / 10)
    context.getIntegrator().step(3)
    state = context.getState(positions=True, forces=True, energy=True)
    atoms.positions = 10 * state.getPositions(asNumpy=True)._value
    energies, forces, _ = student.evaluate(*inputs(atoms, 5.0))
    per_ev = 96.48533212331  # kJ/mol
    energy = state.getPotentialEnergy()._value / per_ev
    found = state.getForces(asNumpy=True)._value / per_ev / 10
    return {
        "energies": abs(energy - float(energies.sum())) / 3,
        "forces": float(np.abs(found - forces.numpy()).max()),
        "virial": 0.0,
    }


def run_extra(name: str) -> dict[str, float]:
    from distill.kernels.cuda import CudaStudent, GraphedStudent

    student = load_student("ultra-tiny")
    kernels = CudaStudent(student, DEVICE, precision="tf32x3")
    student = load_student("ultra-tiny", dtype=torch.float64)
    if name == "tf32x3":
        multiply_as_tensor_cores()
        arguments = inputs(ethanol(), 5.0)
        return differences(kernels.evaluate(*arguments), student.evaluate(*arguments))
    positions, numbers, edges, shift = inputs(water(), 6.0)
    if name == "edges in any order":
        order = torch.randperm(edges.shape[1])
        arguments = (positions, numbers, edges[:, order], shift[order])
        return differences(kernels.evaluate(*arguments), student.evaluate(*arguments))
    if name == "ase":  # a walk, in which the list and then the number of atoms change
        from distill.kernels.cuda.md import CudaMD
        from distill_ase.backends import KernelBackend

        backend, atoms = KernelBackend(CudaMD(load_student("ultra-tiny"), DEVICE, 0.5)), water()
        worst = dict.fromkeys(("energies", "forces", "virial"), 0.0)
        for step in range(4):
            if step == 3:
                atoms += Atoms("H", [[3.0, 0.0, 0.0]])
            atoms.rattle(0.12, seed=step)
            got = [torch.from_numpy(x) for x in backend(atoms)[:3]]
            found = differences(got, student.evaluate(*inputs(atoms, 5.0)))
            worst = {k: max(worst[k], found[k]) for k in worst}
        return {**worst, "rebuilds": float(backend.rebuilds)}
    if name == "openmm":  # the function of a PythonForce
        return run_openmm(student)
    if name == "graph":  # other positions, and other edges, in the same arrays
        graph = GraphedStudent(kernels, numbers, capacity=40)
        far = positions + torch.tensor([[0.0], [0.0], [9.0]])
        worst = dict.fromkeys(("energies", "forces", "virial"), 0.0)
        for where in (positions, 1.05 * positions, far):
            atoms = Atoms(numbers.numpy(), where.numpy())
            _, _, edges, shift = inputs(atoms, 5.5)
            graph.set_edges(edges, shift, by_centre=True)
            found = differences(
                graph.evaluate(where), student.evaluate(where, numbers, edges, shift)
            )
            worst = {k: max(worst[k], found[k]) for k in worst}
        return worst
    # a coordinate that is not a number, and an element that is not known, are seen in the results
    positions[1, 1] = torch.nan
    energies, forces, _ = kernels.evaluate(positions, numbers, edges, shift)
    numbers[:] = 2
    step = kernels.step(3, 8)
    step.set_atoms(numbers)
    return {
        "positions": float(energies.isnan().all() and forces.isnan().all()),
        "elements": float(step.reference.isnan().all()),
    }


def main(names: list[str], to: Path) -> None:
    torch.set_num_threads(1)
    np.seterr(invalid="ignore", over="ignore")
    run = {name: run_extra(name) if name in EXTRAS else run_case(name) for name in names}
    to.write_text(json.dumps(run, indent=1))


# ---- the tests ----------------------------------------------------------------------------------
def interpret(names: list[str], to: Path) -> dict[str, dict[str, float]]:
    environment = {
        **os.environ,
        "TRITON_INTERPRET": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    command = [sys.executable, __file__, str(to), *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(to.read_text())


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    return interpret(QUICK, tmp_path_factory.mktemp("interpreted") / "quick.json")


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    return interpret([*SLOW, *EXTRAS], tmp_path_factory.mktemp("interpreted") / "slow.json")


def check(found: dict[str, float]) -> None:
    assert found["energies"] < ENERGY
    assert found["forces"] < FORCE
    assert found["virial"] < VIRIAL


@pytest.mark.parametrize("name", QUICK)
def test_small_systems(quick, name):
    check(quick[name])


@pytest.mark.slow
def test_a_graph_takes_new_positions_and_edges(slow):
    check(slow["graph"])


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_larger_systems(slow, name):
    check(slow[name])
    least = {"one atom alone": -1.0, "pressed": 10.0}.get(name, 0.1)
    assert slow[name]["largest force"] > least


@pytest.mark.slow
def test_the_ase_calculators_backend(slow):
    check(slow["ase"])
    check(slow["openmm"])
    assert 1 < slow["ase"]["rebuilds"] <= 4


@pytest.mark.slow
def test_edges_need_no_order(slow):
    check(slow["edges in any order"])


@pytest.mark.slow
def test_three_products_are_as_good_as_float32(slow):
    check(slow["tf32x3"])


@pytest.mark.slow
def test_what_is_broken_becomes_nan(slow):
    assert slow["broken"] == {"positions": 1.0, "elements": 1.0}


if __name__ == "__main__":
    main(sys.argv[2:] or [*CASES, *EXTRAS], Path(sys.argv[1]))
