"""One stereoisomer of an open SMILES, the same every time, and one that exists."""

import pytest
from rdkit import Chem

from distill.data.molecules import from_smiles, read_molecules
from distill.data.sampling import Sampling, chunks, starts_of
from distill.data.sets import SETS, read_set
from distill.data.sets.split import SPLITS, chosen

OPEN = [
    "CC(O)C(N)C(=O)O", "CC=CC", "CC=NO", "CN=NC", "CCS(C)=O", "CC1(C)C2CCC1(C)C(=O)C2",
    "CN1C2CCC1CC(OC(=O)C(CO)c1ccccc1)C2", "C1CCC2CCCCC2C1", "C[C@H](O)C(F)Cl", "CC(N)C=CC",
]  # fmt: skip


def isomers(molecule: object) -> set[str]:
    """Which molecules the conformers of all chunks and seeds are, seen from their coordinates."""
    seen = set()
    for seed in (0, 1):
        for one, plan in chunks(molecule, Sampling(frames=40, seed=seed)):  # type: ignore[arg-type]
            for start in starts_of(one, 4, plan.seed):
                Chem.AssignStereochemistryFrom3D(start)
                seen.add(Chem.MolToSmiles(Chem.RemoveHs(start)))
    return seen


@pytest.mark.parametrize("smiles", OPEN)
def test_conformers_are_of_one_isomer(smiles: str) -> None:
    molecule = from_smiles(smiles)
    assert isomers(molecule) == {molecule.smiles}
    assert Chem.CanonSmiles(smiles) != molecule.smiles
    (note,) = molecule.notes
    assert Chem.CanonSmiles(smiles) in note and molecule.smiles in note
    again = from_smiles(molecule.smiles)
    assert (again.smiles, again.notes) == (molecule.smiles, ())
    assert again.numbers.tolist() == molecule.numbers.tolist()


@pytest.mark.parametrize(
    "smiles",
    ["CCO", "C[C@H](O)F", "C/C=C/C", "CC(C)=NO", "NC(=N)c1ccccc1", "COP(=O)([O-])O", "CN(C)CCl"],
)
def test_nothing_is_open(smiles: str) -> None:
    """Nor where only the drawing has two forms: an amidine's hydrogen, a phosphate's charge."""
    molecule = from_smiles(smiles)
    assert (molecule.smiles, molecule.notes) == (Chem.CanonSmiles(smiles), ())


def test_another_isomer_can_be_chosen() -> None:
    taken = from_smiles("CC(O)F").smiles
    other = {"C[C@@H](O)F": "C[C@H](O)F", "C[C@H](O)F": "C[C@@H](O)F"}[taken or ""]
    assert from_smiles(other).smiles == other
    assert from_smiles("CC(O)F", open_stereo=True).smiles == "CC(O)F"


def test_isotopes_are_kept() -> None:
    molecule = from_smiles("[2H]OC([13CH3])F")
    assert molecule.rdmol is not None
    assert sorted(a.GetIsotope() for a in molecule.rdmol.GetAtoms() if a.GetIsotope()) == [2, 13]


@pytest.mark.slow
def test_sets_keep_names_splits_and_order() -> None:
    for split in SPLITS:
        before = chosen("ionized", SETS["ionized"](), split)
        after = read_set(f"ionized:{split}")
        assert [m.name for m in after] == [m.name for m in before]
        assert all(a.numbers.tolist() == b.numbers.tolist() for a, b in zip(after, before))
        changed = [(a, b) for a, b in zip(after, before) if a.smiles != b.smiles]
        for a, b in changed:
            flat = [Chem.MolFromSmiles(m.smiles) for m in (a, b)]
            assert len({Chem.MolToSmiles(mol, isomericSmiles=False) for mol in flat}) == 1
        assert 0 < len(changed) < len(after) / 2
    assert read_molecules("ionized:test:3")[0].smiles == after[0].smiles
