"""The repulsion at short range, against the formula of Ziegler, Biersack and Littmark."""

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.data import atomic_numbers, covalent_radii


def universal_potential(z1: int, z2: int, r: float) -> float:
    """In eV, from The Stopping and Range of Ions in Matter (1985)."""
    a = 0.8854 * units.Bohr / (z1**0.23 + z2**0.23)
    terms = [(0.18175, 3.19980), (0.50986, 0.94229), (0.28022, 0.40290), (0.02817, 0.20162)]
    screening = sum(c * np.exp(-d * r / a) for c, d in terms)
    return z1 * z2 * units.Hartree * units.Bohr / r * screening


@pytest.fixture
def silent(student):
    """A student whose network says nothing, so that ZBL is all there is."""
    student.reference.zero_()
    last = student.painn.readout[2]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    return student


@pytest.mark.parametrize("pair", ["HH", "CO", "NI", "BrS"])
def test_it_is_the_universal_potential_switched_off(silent, answer, pair):
    symbols = Atoms(pair).get_chemical_symbols()
    z = [atomic_numbers[s] for s in symbols]
    reach = covalent_radii[z].sum()
    for r in np.linspace(0.05, 0.95, 7) * reach:
        x = r / reach
        switch = 1 - 10 * x**3 + 15 * x**4 - 6 * x**5
        energies, forces, _ = answer(silent, Atoms(symbols, [[0, 0, 0], [0, 0, r]]))
        expected = universal_potential(*z, r) * switch
        assert energies.sum() == pytest.approx(expected, rel=2e-6)
        assert energies[0] == pytest.approx(energies[1])
        assert forces[1, 2] > 0, "it repels"


def test_it_is_off_at_the_sum_of_the_covalent_radii(silent, answer):
    reach = covalent_radii[[6, 8]].sum()
    energies, forces, _ = answer(silent, Atoms("CO", [[0, 0, 0], [0, 0, reach + 1e-6]]))
    np.testing.assert_array_equal(energies, 0.0)
    np.testing.assert_array_equal(forces, 0.0)


def test_it_wins_at_short_range(student, answer):
    """Whatever a network says, atoms do not come as close as 0.2 Å."""
    energy = [
        answer(student, Atoms("CH", [[0, 0, 0], [0, 0, r]]))[0].sum() for r in (0.5, 0.4, 0.3, 0.2)
    ]
    assert np.all(np.diff(energy) > 5.0)
