"""Parts of a system, as the ranks of LAMMPS have them, against all of it in float64."""

import numpy as np
import pytest
import torch
from ase import Atoms

from distill.errors import DistillError
from distill.kernels import KernelStudent
from distill.student import Student
from distill.student.neighbours import neighbour_list


class Part:
    """The atoms of ``owned``, and as ghosts their periodic images and those of the others."""

    def __init__(self, atoms: Atoms, owned: np.ndarray, cutoff: float, layers: int):
        box, reach = atoms.cell.array, layers * cutoff
        heights = 1 / np.linalg.norm(np.linalg.inv(box), axis=0)
        n = np.ceil(reach / heights).astype(int) + 1
        cells = np.array(list(np.ndindex(*(2 * n + 1)))) - n
        images = np.concatenate([atoms.positions + cell @ box for cell in cells])
        owner = np.tile(np.arange(len(atoms)), len(cells))
        home = np.zeros(len(images), dtype=bool)
        home[len(atoms) * int(np.flatnonzero((cells == 0).all(1))[0]) + owned] = True
        mine = images[home]
        ghost = np.array(
            [
                not at_home and np.linalg.norm(mine - x, axis=1).min() < reach + 0.3
                for x, at_home in zip(images, home)
            ]
        )
        self.owner = np.concatenate([owner[home], owner[ghost]])
        self.positions = np.concatenate([mine, images[ghost]])
        self.owned = len(mine)
        self.numbers = atoms.numbers[self.owner]
        # a list with a skin, as LAMMPS may hand it on
        (i, j), _ = neighbour_list(self.positions, None, False, cutoff + 0.2)
        order = np.lexsort((j, i))
        self.pairs = i[order], j[order]

    def evaluate(self, kernel: KernelStudent, images: bool):
        i, j = self.pairs
        vectors = self.positions[j] - self.positions[i]
        if not images:
            return kernel.evaluate_part(self.numbers, self.owned, i, j, vectors)[0]
        known = self.owner, self.positions
        return kernel.evaluate_part(self.numbers, self.owned, i, j, vectors, *known)[0]

    def without_ghosts_lists(self) -> None:
        mine = self.pairs[0] < self.owned
        self.pairs = self.pairs[0][mine], self.pairs[1][mine]


@pytest.mark.parametrize("images", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_parts_add_up_to_the_whole(
    student: Student, systems: dict[str, Atoms], dtype: str, images: bool
) -> None:
    atoms = systems["liquid"]
    edges, shift = neighbour_list(atoms.positions, atoms.cell.array, True, student.cutoff)
    arguments = [torch.tensor(x) for x in (atoms.positions, atoms.numbers, edges, shift)]
    energies, forces, virial = (x.numpy() for x in student.evaluate(*arguments))
    kernel = KernelStudent(student, dtype)
    left = atoms.get_scaled_positions()[:, 0] < 0.4
    found_energies, found_forces = np.zeros(len(atoms)), np.zeros((len(atoms), 3))
    found_virial = np.zeros((3, 3))
    halves = [np.flatnonzero(left), np.flatnonzero(~left)]
    # known as images of owned atoms, ghosts need no lists
    for owned in [np.arange(len(atoms))] if images and dtype == "float64" else halves:
        part = Part(atoms, owned, student.cutoff, student.config.layers)
        if len(owned) == len(atoms):
            part.without_ghosts_lists()
        answer = part.evaluate(kernel, images)
        found_energies[owned] = answer.energies
        np.add.at(found_forces, part.owner, answer.forces)
        found_virial += answer.virial
    tight = dtype == "float64"
    np.testing.assert_allclose(found_energies, energies, rtol=0, atol=1e-9 if tight else 1e-4)
    np.testing.assert_allclose(found_forces, forces, rtol=0, atol=1e-7 if tight else 1e-4)
    np.testing.assert_allclose(found_virial, virial, rtol=0, atol=1e-6 if tight else 1e-2)


def test_a_part_without_atoms(tiny: Student) -> None:
    nothing = np.zeros(0, dtype=int)
    answer, _ = KernelStudent(tiny).evaluate_part([6, 1], 0, nothing, nothing, np.zeros((0, 3)))
    assert len(answer.energies) == 0
    assert np.array_equal(answer.forces, np.zeros((2, 3)))


def test_bad_parts(tiny: Student) -> None:
    kernel = KernelStudent(tiny)
    with pytest.raises(DistillError, match="owned is 3"):
        kernel.evaluate_part([6, 1], 3, [0], [1], np.ones((1, 3)))
    with pytest.raises(DistillError, match="not there"):
        kernel.evaluate_part([6, 1], 1, [0], [2], np.ones((1, 3)))
    with pytest.raises(DistillError, match="do not follow each other"):
        kernel.evaluate_part([6, 1], 1, [0, 1, 0], [1, 0, 1], np.ones((3, 3)))
    with pytest.raises(DistillError, match="the same identity"):
        kernel.evaluate_part([6, 1], 2, [0, 1], [1, 0], np.ones((2, 3)), [3, 3], np.eye(3)[:2])
    with pytest.raises(DistillError, match="does not know"):
        kernel.evaluate_part([6, 2], 1, [0, 1], [1, 0], np.ones((2, 3)))
