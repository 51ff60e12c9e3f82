"""The laws of physics that every student keeps, for every size, in float64."""

import numpy as np
import pytest
import torch
from ase import Atoms
from scipy.stats import ortho_group

from distill import DistillError
from distill.student import Student
from distill.student.neighbours import neighbour_list


def test_the_network_is_felt(student, ethanol, answer):
    """Else the tests below would be about nothing: ZBL is off at these distances."""
    energies, forces, virial = answer(student, ethanol)
    assert np.abs(forces).max() > 0.01
    assert np.abs(virial).max() > 0.01
    assert len(set(np.round(energies, 6))) == len(ethanol)


@pytest.mark.parametrize("handedness", [1, -1])
def test_rotation_and_reflection(student, ethanol, answer, rng, handedness):
    turn = ortho_group.rvs(3, random_state=rng)
    turn[0] *= handedness * np.sign(np.linalg.det(turn))
    energies, forces, virial = answer(student, ethanol)
    ethanol.positions = ethanol.positions @ turn.T
    turned_energies, turned_forces, turned_virial = answer(student, ethanol)
    np.testing.assert_allclose(turned_energies, energies, rtol=0, atol=1e-9)
    np.testing.assert_allclose(turned_forces, forces @ turn.T, rtol=0, atol=1e-9)
    np.testing.assert_allclose(turned_virial, turn @ virial @ turn.T, rtol=0, atol=1e-9)


def test_translation(student, ethanol, answer):
    before = answer(student, ethanol)
    ethanol.positions += [3.0, -200.0, 17.0]
    for a, b in zip(before, answer(student, ethanol), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)


def test_a_float32_student_does_not_mind_atoms_far_from_the_origin(student, ethanol, answer):
    """In long MD without wrapping, molecules diffuse thousands of Å away."""
    student.float()
    near = answer(student, ethanol)
    ethanol.positions += 5000.0
    far = answer(student, ethanol)
    np.testing.assert_allclose(near[0], far[0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(near[1], far[1], rtol=0, atol=1e-5)


def test_permutation(student, ethanol, answer, rng):
    energies, forces, _ = answer(student, ethanol)
    order = rng.permutation(len(ethanol))
    shuffled_energies, shuffled_forces, _ = answer(student, ethanol[order])
    np.testing.assert_allclose(shuffled_energies, energies[order], rtol=0, atol=1e-9)
    np.testing.assert_allclose(shuffled_forces, forces[order], rtol=0, atol=1e-9)


def test_two_far_molecules_are_the_sum(student, ethanol, answer, rng):
    other = Atoms("CO2", rng.normal(size=(3, 3)) * 1.5)
    other.positions += [0.0, 50.0, 0.0]
    parts = [answer(student, part) for part in (ethanol, other)]
    energies, forces, virial = answer(student, ethanol + other)
    np.testing.assert_allclose(energies, np.concatenate([p[0] for p in parts]), rtol=0, atol=1e-9)
    np.testing.assert_allclose(forces, np.concatenate([p[1] for p in parts]), rtol=0, atol=1e-9)
    np.testing.assert_allclose(virial, parts[0][2] + parts[1][2], rtol=0, atol=1e-8)


def test_smooth_at_the_cutoff(student, answer):
    """An atom crosses the cutoff of others, while the neighbour list reaches further."""

    def at(distance):
        line = Atoms("OCF", [[0, 0, 0], [1.3, 0.2, 0], [0.0, 0.0, distance]])
        return answer(student, line, reach=7.0)

    step = 1e-4
    inside, outside = at(student.cutoff - step), at(student.cutoff + step)
    # E goes as the third power of the distance from the cutoff, the force as the second
    np.testing.assert_allclose(inside[0].sum(), outside[0].sum(), rtol=0, atol=1e-9)
    np.testing.assert_allclose(inside[1][2], 0.0, rtol=0, atol=1e-3)
    closer = at(student.cutoff - 0.5)
    assert np.abs(closer[1][2]).max() > 1e-6, "the fluorine is not felt at all"
    # the force is continuous to second order: halving the step divides it by more than three
    there = [np.abs(at(student.cutoff - s)[1][2]).max() for s in (0.004, 0.002, 0.001)]
    assert there[0] > 3 * there[1] > 9 * there[2] > 0


def test_edges_beyond_the_cutoff_count_nothing(student, ethanol, answer):
    # spread out, so that some pairs are outside
    ethanol.positions *= 3.0
    short, long = answer(student, ethanol), answer(student, ethanol, reach=student.cutoff + 2.0)
    for a, b in zip(short, long, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)


def test_forces_are_the_derivative_of_the_energy(student, ethanol, answer):
    forces = answer(student, ethanol)[1]
    for atom, axis in np.ndindex(forces.shape):

        def moved(step, atom=atom, axis=axis):
            atoms = ethanol.copy()
            atoms.positions[atom, axis] += step
            return answer(student, atoms)[0].sum()

        assert forces[atom, axis] == pytest.approx(-slope_at_zero(moved, 2e-4), abs=1e-7)


def test_no_net_force(student, ethanol, answer):
    np.testing.assert_allclose(answer(student, ethanol)[1].sum(0), 0.0, atol=1e-9)


def test_virial_is_the_derivative_by_strain(student, crystal, answer):
    virial = answer(student, crystal)[2]
    np.testing.assert_allclose(virial, virial.T, rtol=0, atol=1e-9)
    for a, b in np.ndindex(3, 3):

        def strained(step, a=a, b=b):
            strain = np.eye(3)
            strain[a, b] += step
            atoms = crystal.copy()
            atoms.set_cell(crystal.cell.array @ strain, scale_atoms=True)
            return answer(student, atoms)[0].sum()

        assert virial[a, b] == pytest.approx(slope_at_zero(strained, 5e-5), abs=1e-5)


def test_forces_in_a_cell_smaller_than_the_cutoff(student, crystal, answer):
    forces = answer(student, crystal)[1]
    for atom, axis in [(0, 0), (2, 1), (4, 2)]:

        def moved(step, atom=atom, axis=axis):
            atoms = crystal.copy()
            atoms.positions[atom, axis] += step
            return answer(student, atoms)[0].sum()

        assert forces[atom, axis] == pytest.approx(-slope_at_zero(moved, 2e-4), abs=1e-6)


def test_periodic_equals_an_explicit_chain(student, crystal, answer):
    """The middle link of a chain that is as long as the network sees: no periodicity used."""
    crystal.pbc = (True, False, False)
    energies, forces, _ = answer(student, crystal)
    step = crystal.cell.array[0]
    links = int(np.ceil((student.cutoff * student.config.layers + 6.0) / step[0]))
    chain = sum(
        (
            Atoms(crystal.numbers, crystal.positions + k * step)
            for k in range(-links, links + 1)
            if k != 0
        ),
        start=Atoms(crystal.numbers, crystal.positions),
    )
    chain_energies, chain_forces, _ = answer(student, chain)
    np.testing.assert_allclose(chain_energies[: len(crystal)], energies, rtol=0, atol=1e-9)
    np.testing.assert_allclose(chain_forces[: len(crystal)], forces, rtol=0, atol=1e-9)


def test_supercell(student, crystal, answer):
    energies, forces, virial = answer(student, crystal)
    twice_energies, twice_forces, twice_virial = answer(student, crystal.repeat((2, 1, 3)))
    np.testing.assert_allclose(twice_energies, np.tile(energies, 6), rtol=0, atol=1e-9)
    np.testing.assert_allclose(twice_forces, np.tile(forces, (6, 1)), rtol=0, atol=1e-9)
    np.testing.assert_allclose(twice_virial, 6 * virial, rtol=0, atol=1e-7)


def test_atoms_without_neighbours(student, ethanol, answer):
    alone = answer(student, Atoms("O"))
    np.testing.assert_array_equal(alone[1], 0.0)
    np.testing.assert_array_equal(alone[2], 0.0)
    far = ethanol + Atoms("O", [[99.0, 0.0, 0.0]])
    energies, forces, _ = answer(student, far)
    assert energies[-1] == pytest.approx(alone[0][0], abs=1e-9)
    np.testing.assert_array_equal(forces[-1], 0.0)
    np.testing.assert_allclose(forces[:-1], answer(student, ethanol)[1], rtol=0, atol=1e-9)


def test_reference_energies_are_added_once_per_atom(student, ethanol, answer):
    before = answer(student, ethanol)[0]
    carbon = student.config.elements.index(6)
    student.reference[carbon] -= 1000.0
    after = answer(student, ethanol)[0]
    np.testing.assert_allclose(after - before, np.where(ethanol.numbers == 6, -1000.0, 0.0))


def test_reference_energies_stay_float64(student):
    exact = student.reference.clone()
    student.float().to(torch.float16).double()
    assert student.reference.dtype == torch.float64
    assert torch.equal(student.reference, exact)


def test_torchscript_equals_eager(student, crystal, ethanol, answer, tmp_path):
    torch.jit.save(torch.jit.script(student), str(tmp_path / "student.pt"))
    scripted = torch.jit.load(str(tmp_path / "student.pt"))
    # three calls: the profiling executor rewrites the graph on the second
    for atoms in (ethanol, crystal, ethanol):
        expected = answer(student, atoms)
        edges = _inputs(atoms, student)
        energy, forces = scripted(*edges)
        assert energy.item() == pytest.approx(expected[0].sum(), abs=1e-9)
        np.testing.assert_allclose(forces.numpy(), expected[1], rtol=0, atol=1e-9)


def test_forward_needs_no_grad_mode_and_leaves_it_alone(student, ethanol):
    inputs = _inputs(ethanol, student)
    energy, forces = student(*inputs)
    assert torch.is_grad_enabled() and not energy.requires_grad and not forces.requires_grad
    with torch.no_grad():
        same_energy, same_forces = student(*inputs)
        assert not torch.is_grad_enabled()
    assert torch.equal(energy, same_energy) and torch.equal(forces, same_forces)


def test_atomic_energies_reach_positions_and_parameters(student, ethanol):
    positions, numbers, edge_index, edge_shift = _inputs(ethanol, student)
    positions.requires_grad_(True)
    energies = student.atomic_energies(positions, numbers, edge_index, edge_shift)
    assert energies.dtype == torch.float64
    energies.sum().backward()
    _, forces = student(positions, numbers, edge_index, edge_shift)
    np.testing.assert_allclose(-positions.grad, forces, rtol=0, atol=1e-9)
    assert all(p.grad is not None for p in student.parameters())


def test_float32_agrees_with_float64(student, ethanol, answer):
    exact = answer(student, ethanol)
    rounded = answer(student.float(), ethanol)
    assert abs(rounded[0].sum() - exact[0].sum()) / len(ethanol) < 1e-5
    np.testing.assert_allclose(rounded[1], exact[1], rtol=0, atol=1e-4)


def test_unknown_elements_are_named(student):
    student.check_elements([1, 6, 53])
    with pytest.raises(DistillError, match=r"does not know Fe He; it knows Br C"):
        student.check_elements([6, 26, 2])


def test_untrained_students_are_the_seeds(seed):
    before = torch.get_rng_state()
    first, again, other = (Student.untrained("tiny", s) for s in (seed, seed, seed + 1))
    assert torch.equal(torch.get_rng_state(), before)
    weights = [s.painn.readout[0].weight for s in (first, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    with pytest.raises(DistillError, match="huge"):
        Student.untrained("huge")


def slope_at_zero(function, step):
    """Central differences, exact to fourth order: the Bessel functions are steep."""
    near = function(step) - function(-step)
    far = function(2 * step) - function(-2 * step)
    return (8 * near - far) / (12 * step)


def _inputs(atoms: Atoms, student: Student) -> tuple[torch.Tensor, ...]:
    edges = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, student.cutoff)
    return (
        torch.tensor(atoms.positions),
        torch.tensor(atoms.numbers),
        *(torch.tensor(part) for part in edges),
    )
