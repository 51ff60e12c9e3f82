"""The list of drugs: what is in it, and that the splits share no scaffold."""

import subprocess
import sys
from pathlib import Path

import pytest
from rdkit import Chem

from distill.data import drugs as module
from distill.data.drugs import IMATINIB, PARACETAMOL, SPLITS, drugs, scaffold, split_of
from distill.data.molecules import check, read_molecules
from distill.elements import ELEMENTS

pytestmark = pytest.mark.slow  # reads and sorts the whole list


@pytest.fixture(scope="module")
def splits() -> dict[str, list]:
    return {split: drugs(split) for split in SPLITS}


def test_every_drug_can_be_labelled(splits: dict[str, list]) -> None:
    everything = [molecule for split in SPLITS for molecule in splits[split]]
    assert len(everything) > 1400
    assert len({molecule.name for molecule in everything}) == len(everything)
    assert len({molecule.smiles for molecule in everything}) == len(everything)
    for molecule in everything:
        check(molecule)
        assert len(molecule) <= 80 and set(molecule.numbers.tolist()) <= set(ELEMENTS)


def test_splits_share_no_scaffold(splits: dict[str, list]) -> None:
    scaffolds = {}
    for split, molecules in splits.items():
        moved = {Chem.CanonSmiles(PARACETAMOL)}  # benzene's other drugs stay where they are
        chosen = [m for m in molecules if m.smiles not in moved]
        scaffolds[split] = {scaffold(Chem.MolFromSmiles(m.smiles)) for m in chosen}
        assert 0.05 < len(scaffolds[split]) / 1000 < 0.9
    assert not scaffolds["train"] & scaffolds["validation"]
    assert not scaffolds["train"] & scaffolds["test"]
    assert not scaffolds["validation"] & scaffolds["test"]


@pytest.mark.parametrize("smiles", [PARACETAMOL, IMATINIB])
def test_demonstration_molecules_are_never_trained_on(smiles: str, splits: dict[str, list]) -> None:
    names = {split: [m.smiles for m in splits[split]] for split in SPLITS}
    canonical = Chem.CanonSmiles(smiles)
    assert canonical in names["test"]
    assert canonical not in names["train"] + names["validation"]
    assert split_of(smiles) == "test"


def test_a_limit_takes_the_first_of_the_same_order(splits: dict[str, list]) -> None:
    few = read_molecules("drugs:train:20")
    assert [m.name for m in few] == [m.name for m in splits["train"][:20]]
    assert sorted(m.name for m in few) != [m.name for m in few]


def test_the_module_prints_a_smi_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module.__name__, "test"], capture_output=True, text=True, check=True
    )
    (tmp_path / "test.smi").write_text(done.stdout)
    names = [m.name for m in read_molecules(str(tmp_path / "test.smi"))]
    assert names == [m.name for m in drugs("test")]
