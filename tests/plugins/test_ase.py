"""StudentCalculator against the float64 student and finite differences."""

import copy
import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import PropertyNotImplementedError, all_properties
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.calculators.mixing import SumCalculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read
from ase.md.verlet import VelocityVerlet

from distill import DistillError
from distill.bench.systems import system
from distill.student import Student
from distill_ase import StudentCalculator

NAN = float("nan")


@pytest.mark.parametrize("frame", ["drug", "crystal"])
def test_agrees_with_float64(student_file, frame, request, engines):
    atoms = request.getfixturevalue(frame)
    expected = engines.reference(student_file, atoms)
    for dtype in ("float32", "float64"):
        atoms.calc = StudentCalculator(student_file, dtype=dtype)
        answer = atoms.get_potential_energy(), atoms.get_forces()
        engines.assert_agree(answer, expected, tight=dtype == "float64")
        assert atoms.get_potential_energy(force_consistent=True) == answer[0]
        assert atoms.get_potential_energies().sum() == pytest.approx(answer[0], abs=1e-9)


def test_forces_and_stress_are_derivatives(tiny_file, crystal):
    crystal.calc = StudentCalculator(tiny_file, dtype="float64")
    np.testing.assert_allclose(
        crystal.get_forces(), calculate_numerical_forces(crystal, eps=1e-4), atol=1e-5
    )
    np.testing.assert_allclose(
        crystal.get_stress(), calculate_numerical_stress(crystal, eps=1e-5), atol=1e-6
    )


def test_stress_needs_a_cell(tiny_file, drug):
    drug.calc = StudentCalculator(tiny_file)
    drug.get_forces()
    with pytest.raises(PropertyNotImplementedError):
        drug.get_stress()


def test_a_slab(tiny_file, crystal, engines):
    crystal.pbc = (True, True, False)
    crystal.cell[2] = 0.0
    crystal.calc = StudentCalculator(tiny_file, dtype="float64")
    answer = crystal.get_potential_energy(), crystal.get_forces()
    engines.assert_agree(answer, engines.reference(tiny_file, crystal), tight=True)


def test_every_step_of_an_md_run_agrees(tiny_file, drug, rng, engines):
    """The list with a skin, the cached tensors, and atoms that change between calls."""
    calculator = StudentCalculator(tiny_file, dtype="float64", skin=0.5)
    for _ in range(25):
        drug.positions += rng.normal(scale=0.05, size=drug.positions.shape)
        drug.calc = calculator
        answer = drug.get_potential_energy(), drug.get_forces()
        engines.assert_agree(answer, engines.reference(tiny_file, drug), tight=True)
    assert 1 < calculator.rebuilds < 20
    for other in (drug[::-1], drug[:5], molecule("H2O"), Atoms("O"), drug):
        other.calc = calculator
        answer = other.get_potential_energy(), other.get_forces()
        engines.assert_agree(answer, engines.reference(tiny_file, other), tight=True)


@pytest.mark.parametrize(
    ("changed", "change"),
    [
        ("positions", lambda a: a.rattle(1e-6)),
        ("positions", lambda a: a.append("H") or a.positions.__setitem__(-1, [9.0, 0.0, 0.0])),
        ("numbers", lambda a: a.numbers.__setitem__(0, 7)),
        ("cell", lambda a: a.set_cell([20.0, 20.0, 20.0])),
        ("pbc", lambda a: a.set_pbc([True, False, False])),
    ],
)
def test_whatever_changes_is_calculated_anew(tiny_file, drug, changed, change):
    drug.set_cell([15.0, 15.0, 15.0])
    drug.calc = StudentCalculator(tiny_file)
    drug.get_forces()
    assert drug.calc.check_state(drug) == []
    change(drug)
    assert changed in drug.calc.check_state(drug)
    fresh = drug.copy()
    fresh.calc = StudentCalculator(tiny_file)
    np.testing.assert_allclose(drug.get_forces(), fresh.get_forces(), atol=1e-6)
    assert drug.get_potential_energy() == pytest.approx(fresh.get_potential_energy())


def test_results_do_not_change_afterwards(tiny_file, drug):
    drug.calc = StudentCalculator(tiny_file)
    first = drug.get_forces()
    kept = first.copy()
    drug.rattle(0.1)
    drug.get_forces()
    np.testing.assert_array_equal(first, kept)


def test_nve_conserves_energy():
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=0)
    # a trained one: the surface of random weights is too rough for any timestep
    atoms.calc = StudentCalculator("tiny")
    dynamics = VelocityVerlet(atoms, timestep=0.2 * units.fs)
    total, kinetic = [], []
    dynamics.attach(lambda: total.append(atoms.get_total_energy()))
    dynamics.attach(lambda: kinetic.append(atoms.get_kinetic_energy()))
    dynamics.run(200)
    moved = max(kinetic)
    assert moved > 0.1, "nothing moved"
    assert np.ptp(total) < 0.01 * moved


def test_a_student_is_copied(drug):
    student = Student.untrained("ultra-tiny").train()
    drug.calc = StudentCalculator(student, dtype="float64")
    drug.get_potential_energy()
    assert student.training and student.painn.embedding.weight.dtype == torch.float32
    assert all(p.requires_grad for p in student.parameters())


def test_global_settings_of_torch_are_left_alone(tiny_file, drug):
    before = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    drug.calc = StudentCalculator(tiny_file)
    drug.get_forces()
    assert before == (
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
    )


@pytest.mark.parametrize(
    ("atoms", "sentence"),
    [
        (Atoms(), "no atoms"),
        (Atoms("CHe", [[0, 0, 0], [0, 0, 2]]), "does not know He"),
        (Atoms("X"), "does not know X"),
        (Atoms("O", info={"charge": -2}), "charge 0, 1 only, not -2"),
        (Atoms("CH", [[0, 0, 0], [0, NAN, 1]]), "Atom 1 has a coordinate that is NaN"),
        (Atoms("CHH", [[0, 0, 0], [0, 0, 1.1], [0, 0, 1.3]]), "Atoms 1 and 2 are 0.20 Å apart"),
        (Atoms("CH", [[1, 1, 1], [1, 1, 1]]), "Atoms 0 and 1 are 0.00 Å apart"),
        (Atoms("CH", [[0, 0, 0], [0, 0, 1]], pbc=True), "without a cell vector"),
    ],
)
def test_bad_systems(tiny_file, atoms, sentence):
    atoms.calc = StudentCalculator(tiny_file)
    with pytest.raises(DistillError, match=sentence):
        atoms.get_potential_energy()
    # nothing of the failed call is left behind
    good = molecule("H2O")
    good.calc = atoms.calc
    assert np.isfinite(good.get_potential_energy())


def test_an_overlap_on_the_way_is_noticed(tiny_file):
    """Also when the neighbour list is still good."""
    atoms = molecule("H2O")
    atoms.calc = StudentCalculator(tiny_file, skin=4.0)
    atoms.get_potential_energy()
    atoms.positions[2] = atoms.positions[1] + [0.1, 0.0, 0.0]
    with pytest.raises(DistillError, match="Atoms 1 and 2 are 0.10"):
        atoms.get_potential_energy()


@pytest.mark.parametrize("charge", ["1", "+1", "-2", None, 1.0, -2, np.int64(1), "0.0"])
def test_a_charge_is_read_as_it_is_written(tiny_file, charge):
    """The student knows the charges 0 and 1."""
    atoms = molecule("CH4")
    atoms.info["charge"] = charge
    atoms.calc = StudentCalculator(tiny_file)
    if charge is not None and float(charge) == -2:
        with pytest.raises(DistillError, match="charge 0, 1 only, not -2"):
            atoms.get_potential_energy()
    else:
        assert np.isfinite(atoms.get_potential_energy())


@pytest.mark.parametrize("key", ["charge", "spin"])
@pytest.mark.parametrize("value", ["abc", "", 0.5, "0.5", NAN, np.inf, True, [1, 2], b"\xff"])
def test_a_charge_that_is_none(tiny_file, key, value):
    atoms = molecule("CH4")
    atoms.info[key] = value
    atoms.calc = StudentCalculator(tiny_file)
    with pytest.raises(DistillError, match=f"info..{key}.. is .*; give a whole number"):
        atoms.get_potential_energy()


def test_initial_charges(tiny_file):
    atoms = molecule("CH4")
    atoms.calc = StudentCalculator(tiny_file)
    atoms.get_potential_energy()
    for total, sentence in ((-2.0, "not -2"), (0.5, "add up to 0.5 e"), (NAN, "add up to nan")):
        atoms.set_initial_charges([total, 0, 0, 0, 0])
        with pytest.raises(DistillError, match=sentence):
            atoms.get_potential_energy()
    atoms.set_initial_charges([0.601, 0.1, 0.1, 0.1, 0.1])
    assert np.isfinite(atoms.get_potential_energy())
    atoms.info["charge"] = -2  # what has changed is looked at
    with pytest.raises(DistillError, match="not -2"):
        atoms.get_potential_energy()


@pytest.mark.parametrize("backend", ["torch", "kernel"])
@pytest.mark.parametrize("when", ["made", "asked", "both"])
def test_in_inference_mode(tiny_file, drug, backend, when):
    def calculator():
        return StudentCalculator(tiny_file, backend=backend)

    drug.calc = calculator()
    expected = drug.get_forces()
    with torch.inference_mode(when != "asked"):
        drug.calc = calculator()
        if when == "both":
            drug.get_forces()
    drug.rattle(1e-9)
    with torch.inference_mode(when == "asked"), torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_allclose(drug.get_forces(), expected, atol=1e-5)


@pytest.mark.parametrize("backend", ["torch", "kernel"])
def test_copies(backend):
    atoms = molecule("CH3OH")
    atoms.calc = StudentCalculator("tiny", backend=backend, threads=2)
    atoms.get_forces()
    atoms.rattle(0.05, seed=1)
    others = [copy.deepcopy(atoms), pickle.loads(pickle.dumps(atoms))]
    forces = [other.get_forces() for other in others]
    # torch refuses its backward pass in a fork of a process that has made one with threads
    start = "fork" if backend == "kernel" else "spawn"
    with multiprocessing.get_context(start).Pool(1) as pool:
        forces.append(pool.apply_async(Atoms.get_forces, [atoms]).get(timeout=900))
    np.testing.assert_allclose(forces, [atoms.get_forces()] * 3, atol=1e-6)
    assert others[0].calc.results["uncertainty"] == pytest.approx(
        atoms.calc.results["uncertainty"], rel=1e-3
    )


def test_results_are_those_that_ase_knows(tmp_path):
    atoms = molecule("CH3OH")
    atoms.calc = StudentCalculator("tiny")
    forces, results = atoms.get_forces(), atoms.calc.results
    assert results["uncertainty"] > 0 and results["uncertainties"].shape == (6,)
    assert "uncertainty" in results and results.get("uncertainty") == results["uncertainty"]
    assert results.get("nonsense", 3) == 3 and "nonsense" not in results
    with pytest.raises(KeyError):
        results["nonsense"]
    assert set(results) <= set(all_properties)
    again = pickle.loads(pickle.dumps(results))
    assert again.keys() == results.keys() and again["uncertainty"] == results["uncertainty"]

    kept = atoms.copy()
    kept.calc = SinglePointCalculator(kept, **results)
    np.testing.assert_array_equal(kept.get_forces(), forces)
    np.testing.assert_array_equal(atoms.calc.export_properties()["forces"], forces)
    for name in ("kept.traj", "kept.xyz", "kept.json"):
        atoms.write(tmp_path / name)
        np.testing.assert_allclose(read(tmp_path / name).get_forces(), forces, atol=1e-7)
    both = atoms.copy()
    both.calc = SumCalculator([atoms.calc, StudentCalculator("tiny")])
    np.testing.assert_allclose(both.get_forces(), 2 * forces, atol=1e-6)


def test_many_threads(tiny_file, engines):
    atoms = system(300)
    for threads in (1, 64):
        atoms.calc = StudentCalculator(tiny_file, threads=threads)
        answer = atoms.get_potential_energy(), atoms.get_forces()
        engines.assert_agree(answer, engines.reference(tiny_file, atoms))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"threads": 0}, "threads is 0"),
        ({"backend": "jax"}, "'auto', 'torch' or 'kernel'"),
        ({"dtype": "float16"}, "'float32' or 'float64'"),
        ({"device": "toaster"}, "device 'toaster' cannot be used"),
        ({"skin": -1.0}, "skin"),
    ],
)
def test_bad_options(tiny_file, options, sentence):
    with pytest.raises(DistillError, match=sentence):
        StudentCalculator(tiny_file, **options)


@pytest.mark.parametrize("backend", ["kernel", "torch"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_a_default_dtype_of_the_callers(backend, dtype) -> None:
    atoms = molecule("CH3CH2OH")
    atoms.calc = StudentCalculator("ultra-tiny", backend=backend)
    expected = atoms.get_potential_energy()
    torch.set_default_dtype(dtype)
    try:
        atoms.calc = StudentCalculator("ultra-tiny", backend=backend)
        found = atoms.get_potential_energy()
    finally:
        torch.set_default_dtype(torch.float32)
    assert found == pytest.approx(expected, abs=1e-6)


def test_no_atoms_yet() -> None:
    with pytest.raises(DistillError, match="no atoms yet; set atoms.calc"):
        StudentCalculator("ultra-tiny").get_potential_energy()
