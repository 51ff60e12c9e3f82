"""The MD of many molecules side by side, where its arithmetic can be checked: on the CPU."""

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch
from ase.units import kB

SPRING = 30.0  # eV/Å^2


@pytest.fixture(scope="module")
def md(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("md_stability_gpu")


def springs(md: ModuleType, kelvin: list[float], each: int):
    """Pairs of O bound to where they start: ``each`` of every temperature."""
    n = each * len(kelvin)
    home = np.array([[0.0, 0.0, 0.0], [1.2, 0.0, 0.0]])
    molecules = md.Molecules(
        [str(k) for k in range(n)], [np.array([8, 8])] * n, [home] * n, [np.array([[0, 1]])] * n
    )
    positions, forces = (torch.zeros(2 * n, 3, dtype=torch.float64) for _ in range(2))
    energies = torch.zeros(2 * n, dtype=torch.float64)
    away = torch.tensor(np.tile(home, (n, 1)))

    def evaluate() -> None:
        forces.copy_(-SPRING * (positions - away))
        energies.copy_(0.5 * SPRING * ((positions - away) ** 2).sum(-1))

    temperatures = np.repeat(kelvin, each)
    walk = md.Walk(molecules, temperatures, positions, energies, forces, evaluate, seed=0)
    return walk, away


def test_langevin_has_the_temperature_of_each_molecule(md: ModuleType) -> None:
    walk, away = springs(md, [300.0, 500.0], each=3000)
    for _ in range(2000):
        walk.langevin(1.0, 5.0)
    # the middle scheme is exact for a spring: kT/2 for each coordinate
    found = SPRING * ((walk.positions - away) ** 2).view(2, -1).mean(-1) / kB
    moving = walk.temperatures().view(2, -1).mean(-1)
    assert found.tolist() == pytest.approx([300.0, 500.0], rel=0.03)
    assert moving.tolist() == pytest.approx([300.0, 500.0], rel=0.03)


def test_verlet_keeps_the_energy_and_comes_back(md: ModuleType) -> None:
    walk, _ = springs(md, [300.0], each=20)
    first, before = walk.positions.clone(), walk.total()
    for _ in range(500):
        walk.verlet(0.5)
    assert (walk.total() - before).abs().max() < 3e-4
    walk.velocities *= -1.0
    for _ in range(500):
        walk.verlet(0.5)
    assert (walk.positions - first).abs().max() < 1e-9


def test_a_torn_bond_is_seen_although_it_comes_back(md: ModuleType) -> None:
    walk, _ = springs(md, [300.0], each=3)
    first = walk.positions.clone()
    walk.positions[2] += torch.tensor([-1.0, 0.0, 0.0])
    walk.positions[4] = torch.nan
    walk.watch()
    walk.positions.copy_(first)
    walk.watch()
    broken = [md.of_bonds(walk.longest[k : k + 1].numpy())["broken_bonds"] for k in range(3)]
    assert broken == [0, 1, 1]


def test_every_pair_of_a_molecule_and_none_between(md: ModuleType) -> None:
    sizes = (3, 1, 2)
    empty = [np.zeros(n, dtype=int) for n in sizes]
    molecules = md.Molecules(["a", "b", "c"], empty, empty, empty)
    expected = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (4, 5), (5, 4)]
    assert [tuple(pair) for pair in molecules.pairs().T] == expected
