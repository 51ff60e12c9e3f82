"""Bonds from coordinates: the molecule that a geometry was made of comes out of it again."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as built
from rdkit import Chem
from rdkit.Chem import AllChem

from distill.data.bonds import connected, likely_charge, with_orders

SMILES = [
    "O=C1CN=C(c2ccccc2Cl)c2cc([N+](=O)[O-])ccc2N1",  # clonazepam
    "CN/C(=C\\[N+](=O)[O-])NCCSCc1ccc(CN(C)C)o1",  # ranitidine
    "O=C1CN(/N=C/c2ccc([N+](=O)[O-])o2)C(=O)N1",  # nitrofurantoin
    "CCOC(=O)C[C@@H](SP(=S)(OC)OC)C(=O)OCC",  # malathion
    "CN(C)c1ccc2nc3ccc(=[N+](C)C)cc-3sc2c1",  # methylene blue
    "CN1CCN(CC1)Cc1ccc(cc1)C(=O)Nc1ccc(C)c(c1)Nc1nccc(n1)-c1cccnc1",  # imatinib
    "CN(c1c([N+](=O)[O-])cc([N+](=O)[O-])cc1[N+](=O)[O-])c1c([N+](=O)[O-])cc([N+](=O)[O-])cc1"
    "[N+](=O)[O-]",
    "O=S(=O)([O-])OCC(COS(=O)(=O)[O-])OS(=O)(=O)[O-]",
    "CO[P@@](=O)([O-])O[P@](=O)([O-])OP(=O)([O-])[O-]",
    "CN=[N+]=[N-]",
    "C=[N+]=[N-]",
    "[C-]#[N+]C",
    "C[P+](C)(C)C",
    "CS(C)(=O)=O",
    "C[S+](C)[O-]",
    "O=S=O",
    "[O-][Cl+3]([O-])([O-])[O-]",
    "c1ccc([I+]c2ccccc2)cc1",
    "C[C@H]([NH3+])C(=O)[O-]",
    "NC(N)=[NH2+]",
    "[O-][n+]1ccccc1",
    "C[C@@H](F)/C=C/[C@H](C)Cl",
    "[CH2]C",
    "C[O]",
    "[O]N=O",
]


def coordinates(smiles: str) -> tuple[np.ndarray, np.ndarray, int, int]:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=7) == 0
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    radicals = sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
    return numbers, mol.GetConformer().GetPositions(), Chem.GetFormalCharge(mol), radicals + 1


@pytest.mark.parametrize("smiles", SMILES)
def test_the_molecule_comes_out_again(smiles: str) -> None:
    numbers, positions, charge, spin = coordinates(smiles)
    mol = with_orders(connected(numbers, positions), charge, spin)
    assert mol is not None
    assert Chem.MolToSmiles(Chem.RemoveHs(mol)) == Chem.CanonSmiles(smiles)


@pytest.mark.parametrize(
    ("name", "charge", "spin", "smiles"),
    [
        ("O2", 0, 1, "O=O"), ("O2", 0, 3, "[O][O]"), ("CO", 0, 1, "[C-]#[O+]"),
        ("CN", -1, 1, "[C-]#N"), ("OH", -1, 1, "[OH-]"), ("NO", 0, 2, "[N]=O"),
        ("H2", 0, 1, "[H][H]"),
        ("O3", 0, 1, "O=[O+][O-]"), ("H2O", 1, 2, "[OH2+]"), ("CO2", 0, 1, "O=C=O"),
    ],
)  # fmt: skip
def test_small_molecules(name: str, charge: int, spin: int, smiles: str) -> None:
    atoms = built(name)
    mol = with_orders(connected(atoms.numbers, atoms.positions), charge, spin)
    assert mol is not None
    assert Chem.MolToSmiles(Chem.RemoveHs(mol)) == smiles


def grid(atoms: Atoms, count: int) -> Atoms:
    """count^3 of them."""
    together = Atoms()
    for place in np.ndindex(count, count, count):
        together += Atoms(atoms.numbers, atoms.positions + 5.0 * np.array(place))
    return together


@pytest.mark.parametrize("name", ["H2O", "CH3NO2", "CH3CONH2", "C6H6"])
def test_clusters(name: str) -> None:
    """RDKit's search does not end for eight nitromethanes."""
    atoms = grid(built(name), 3)
    mol = with_orders(connected(atoms.numbers, atoms.positions), 0, 1)
    assert mol is not None
    one = built(name)
    alone = with_orders(connected(one.numbers, one.positions), 0, 1)
    parts = Chem.MolToSmiles(Chem.RemoveHs(mol)).split(".")
    assert parts == [Chem.MolToSmiles(Chem.RemoveHs(alone))] * 27


def test_a_fullerene() -> None:
    atoms = built("C60")
    mol = with_orders(connected(atoms.numbers, atoms.positions), 0, 1)
    assert mol is not None and all(atom.GetDegree() == 3 for atom in mol.GetAtoms())


def test_charges_that_no_bonds_explain() -> None:
    numbers, positions, charge, _ = coordinates("[O-]C(=O)[O-]")
    skeleton = connected(numbers, positions)
    assert with_orders(skeleton, 0, 1) is None
    assert with_orders(skeleton, -8, 1) is None
    assert likely_charge(skeleton) == charge == -2
    assert with_orders(connected(np.array([26]), np.zeros((1, 3))), 0, 1) is None


def test_six_neighbours() -> None:
    """Hexafluorophosphate: more neighbours than are usual."""
    ends = 1.6 * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1.0]])
    atoms = Atoms("PF6", positions=np.vstack([np.zeros((1, 3)), ends]))
    mol = with_orders(connected(atoms.numbers, atoms.positions, crowded=True), -1, 1)
    assert mol is not None and Chem.MolToSmiles(mol) == "F[P-](F)(F)(F)(F)F"
