"""What atoms are bonded to: by hand, across a box, in a card; what the shipped students know."""

from collections import Counter

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from distill import load_student
from distill.data.explore import first_geometries
from distill.data.molecules import from_smiles
from distill.data.student_md import bonded_pairs
from distill.student import SIZES, environments
from distill.student.latent import Alarm

BR2 = Atoms("Br2", [[0, 0, 0], [0, 0, 2.3]])


def names(atoms: Atoms) -> list[str]:
    geometry = atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc
    return environments.names(atoms.numbers, *environments.near_pairs(*geometry, 2.0))


def test_by_hand() -> None:
    assert sorted(names(molecule("CH3OH"))) == ["C HHHO", "H C", "H C", "H C", "H O", "O HC"]
    assert names(molecule("N2")) == ["N N.", "N N."]
    assert names(Atoms("F")) == ["F "]
    assert names(molecule("HCl")) == ["Cl H.", "H Cl."]


def test_across_the_borders_of_a_box() -> None:
    atoms = molecule("CH3CH2OH")
    alone = names(atoms)
    atoms.set_cell([[6.0, 0, 0], [1.0, 7.0, 0], [-1.0, 2.0, 6.0]])
    atoms.pbc = True
    atoms.wrap()
    assert names(atoms) == alone
    atoms.pbc = False
    assert names(atoms) != alone, "it was not cut"


def test_bonds_are_those_of_the_covalent_radii() -> None:
    atoms = molecule("CH3CONH2")
    atoms.rattle(0.2, seed=1)
    i, j = environments.bonded(atoms.numbers, atoms.positions, None, False)
    expected = np.nonzero(bonded_pairs(atoms.numbers, atoms.positions))
    assert set(zip(i, j)) == set(zip(*expected))


def test_a_card_keeps_them() -> None:
    known = frozenset({"H ", "H C", "C HHHCl", "C CCl", "C CCC", "N N.", "Br C"})
    card = environments.packed(known)
    assert card["H"] == "- C" and environments.unpacked(card) == known


def test_accidents_are_not_known() -> None:
    census = environments.Census()
    for k in range(20_000):
        census.add(k % 10, Counter({"C HHHH": 50, "H C": 200}))
    for k in range(8):
        census.add(k, Counter({"H H.": 2, "H ": 1}))  # each in one geometry of a molecule
    for _ in range(4):
        census.add("tetrachloromethane", Counter({"C ClClClCl": 1, "Cl C": 4}))
    assert census.known() == {"C HHHH", "H C", "C ClClClCl", "Cl C"}


@pytest.mark.parametrize("size", SIZES)
def test_shipped_students_know_what_they_have_not_learned(size: str) -> None:
    latent = load_student(size).latent
    assert latent is not None

    def rings(numbers: np.ndarray, positions: np.ndarray) -> bool:
        return bool(Alarm(latent).look(np.zeros(len(numbers)), numbers, positions))

    strange = [*map(molecule, ("H2", "O2", "F2", "N2", "Cl2", "CO", "CO2", "HF", "P2", "ClF")), BR2]
    strange += [Atoms("O"), Atoms("F"), Atoms("H2", [[0, 0, 0], [0, 0, 4.0]])]
    for atoms in strange:
        assert rings(atoms.numbers, atoms.positions), atoms
    usual = (
        "CC(=O)Nc1ccc(O)cc1", "CS(=O)(=O)c1ccc(C#N)cc1", "OC(=O)C(F)(F)F", "Brc1cccs1", "O",
        "C[N+](C)(C)CC([O-])=O", "COP(=O)(OC)OC", "Ic1ccccc1[N+](=O)[O-]",
    )  # fmt: skip
    for smiles in usual:
        drug = from_smiles(smiles)
        (positions,) = first_geometries(drug, 1, 0)
        assert not rings(drug.numbers, positions), smiles


def test_a_vibration_is_no_new_environment() -> None:
    known = frozenset(names(molecule("CH3OH")))
    atoms = molecule("CH3OH")
    carbon, hydrogen = 0, 4
    away = atoms.positions[hydrogen] - atoms.positions[carbon]
    for stretch, found in ((1.3, False), (1.6, True), (3.0, True)):
        moved = atoms.copy()
        moved.positions[hydrogen] = atoms.positions[carbon] + stretch * away
        unseen = environments.unseen(known, moved.numbers, moved.positions, None, False)
        assert bool(unseen) == found, (stretch, unseen)
    assert unseen[hydrogen] == "on its own" and unseen[carbon] == "bonded to HHO"
