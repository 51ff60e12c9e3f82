"""The sets of molecules: what is in them, and that the splits share no scaffold."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.data import vdw_radii
from rdkit import Chem
from rdkit.Chem import Descriptors
from rdkit.Chem.rdChemReactions import ReactionFromSmarts
from scipy.spatial.distance import cdist

from distill.data.molecules import check, from_smiles, quietly, read_molecules
from distill.data.sampling import Sampling, sample
from distill.data.sets import SETS, read_set
from distill.data.sets.fragments import pieces
from distill.data.sets.ionized import changed
from distill.data.sets.ions import IONS
from distill.data.sets.mutated import CHANGES, mutant
from distill.data.sets.peptides import RESIDUES
from distill.data.sets.recombined import joined, put_together
from distill.data.sets.rigid import entries
from distill.data.sets.split import IMATINIB, PARACETAMOL, SPLITS, scaffold, split_of
from distill.distances import contact_distance
from distill.elements import ELEMENTS
from distill.errors import DistillError

slow = pytest.mark.slow  # reads and sorts the whole list


@pytest.fixture(scope="module")
def everything() -> dict[str, dict[str, list]]:
    return {kind: {split: read_set(f"{kind}:{split}") for split in SPLITS} for kind in SETS}


@slow
@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("drugs", 1400), ("chembl", 1700), ("fragments", 1000), ("recombined", 5000),
        ("dipeptides", 625), ("dimers", 700), ("clusters", 1600), ("ions", 40), ("ionized", 1400),
        ("small", 1400), ("mutated", 11000), ("analogues", 7900), ("handovers", 1600),
        ("rigid", 3700), ("exotic", 9000), ("contacts", 1300), ("ion-contacts", 3800),
        ("water", 98), ("ions-in-water", 100), ("exchange", 90), ("zwitterions", 300),
    ],
)  # fmt: skip
def test_every_molecule_can_be_labelled(kind: str, least: int, everything: dict) -> None:
    molecules = [molecule for split in SPLITS for molecule in everything[kind][split]]
    assert len(molecules) >= least
    assert len({molecule.name for molecule in molecules}) == len(molecules)
    # a pair is another one the other way round, clusters and rings differ in how they are packed
    if kind not in ("handovers", "water", "ions-in-water", "exchange"):
        # a racemate whose enantiomers are in the set, too, is one of them once more
        given = [molecule.smiles for molecule in molecules if not molecule.notes]
        assert len(set(given)) == len(given)
    for molecule in molecules:
        check(molecule)
        assert len(molecule) <= 80 and set(molecule.numbers.tolist()) <= set(ELEMENTS)


@slow
def test_splits_share_no_scaffold(everything: dict) -> None:
    moved = Chem.CanonSmiles(PARACETAMOL)  # benzene's other molecules stay where they are

    def scaffolds_of(kinds: set[str]) -> dict[str, set[str]]:
        return {
            split: {
                scaffold(Chem.MolFromSmiles(part))
                for kind in kinds
                for molecule in everything[kind][split]
                for part in molecule.smiles.split(".")
                if part != moved
            }
            for split in SPLITS
        }

    complexes = {
        "dimers", "handovers", "clusters", "contacts", "ion-contacts", "water", "ions-in-water",
        "exchange",
    }  # fmt: skip
    kinds = SETS.keys() - complexes
    scaffolds = scaffolds_of(kinds)
    of_drugs = scaffolds_of({"drugs", "fragments", "recombined", "dipeptides", "ions"})
    for split in SPLITS:
        assert 50 < len(of_drugs[split]) < 5000
    # a dimer of a training molecule and a test molecule is in the test split
    scaffolds["train"] |= {
        scaffold(Chem.MolFromSmiles(part))
        for kind in complexes
        for molecule in everything[kind]["train"]
        for part in molecule.smiles.split(".")
    }
    assert not scaffolds["train"] & scaffolds["validation"]
    assert not scaffolds["train"] & scaffolds["test"]
    assert not scaffolds["validation"] & scaffolds["test"]


@slow
@pytest.mark.parametrize("smiles", [PARACETAMOL, IMATINIB])
def test_demonstration_molecules_are_never_trained_on(smiles: str, everything: dict) -> None:
    canonical = Chem.CanonSmiles(smiles)
    assert split_of(smiles) == "test"
    assert canonical in [m.smiles for m in everything["drugs"]["test"]]
    for kind in SETS:
        for split in ("train", "validation"):
            assert canonical not in [m.smiles for m in everything[kind][split]]


@slow
def test_a_limit_takes_the_first_of_the_same_order(everything: dict) -> None:
    few = read_molecules("drugs:train:20")
    assert [m.name for m in few] == [m.name for m in everything["drugs"]["train"][:20]]
    assert sorted(m.name for m in few) != [m.name for m in few]


@slow
def test_the_module_prints_a_smi_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "distill.data.sets", "drugs:test"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (tmp_path / "test.smi").write_text(done.stdout)
    names = [m.name for m in read_molecules(str(tmp_path / "test.smi"))]
    assert names == [m.name for m in read_set("drugs:test")]


def test_pieces_are_joined_where_brics_cuts() -> None:
    """An acid's and an amine's piece give the amide, and the acid's with itself nothing."""
    acetyl, amine = Chem.MolFromSmiles("[1*]C(C)=O"), Chem.MolFromSmiles("[5*]N1CCCC1")
    rng = np.random.default_rng(0)
    amide = joined(acetyl, amine, rng)
    assert amide is not None and Chem.MolToSmiles(amide) == "CC(=O)N1CCCC1"
    assert joined(acetyl, acetyl, rng) is None
    assert put_together([amine], rng) == ""  # nothing fits, and it is too small alone


def test_ions_of_a_fragment() -> None:
    """An amine becomes an ammonium whatever its hydrogens; an amide's nitrogen stays as it is."""
    assert {"[NH3+]CCO", "C[NH2+]CCO", "NCCOP(=O)(O)O"} <= set(changed("NCCO"))
    assert {"C[NH+]1CCCC1", "C[N+]1(C)CCCC1"} <= set(changed("CN1CCCC1"))
    assert {"C[n+]1ccccc1", "c1cc[nH+]cc1"} <= set(changed("c1ccncc1"))
    assert "NC(=[NH2+])c1ccccc1" in changed("NC(=N)c1ccccc1")
    assert changed("CC(N)=O") == ["NC(=O)CP(=O)(O)O"]
    assert changed("CC(=O)[O-]") == []


def made(change: str, smiles: str) -> set[str]:
    """What one change makes of a molecule."""
    mol = Chem.MolFromSmiles(smiles)
    Chem.Kekulize(mol, clearAromaticFlags=True)
    products = ReactionFromSmarts(change).RunReactants((mol,))
    return {Chem.CanonSmiles(Chem.MolToSmiles(product)) for (product,) in products}


def test_mutations() -> None:
    """Each changes something of one of these, and some are what a chemist would draw."""
    (quinone_imine,) = [
        c for c in CHANGES if c.startswith("[O,N;!H0;+0:1][C:2]=[C:3][C:4]=[C:5][O")
    ]
    assert made(quinone_imine, "Nc1ccc(O)cc1") == {"N=C1C=CC(=O)C=C1"}
    (enol,) = [c for c in CHANGES if c.startswith("[O,N,S;X1,X2;H0,H1;+0:1]=[C:2][CX4")]
    assert made(enol, "CC(C)=O") == {"C=C(C)O"}
    assert made("[CH1;R:1]=[*:2]>>[N:1]=[*:2]", "c1ccccc1") == {"c1ccncc1"}
    parents = (
        "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "OC1CCOC1C=CC=N", "CN(C)CCNC(C)=O", "C1COCCS1",
        "Nc1ccc(O)cc1", "C=C(O)C", "OC=CC=N", "Cc1ccc(O)cc1",
    )  # fmt: skip
    for change in CHANGES:
        assert any(made(change, parent) for parent in parents), change


def test_a_mutant_is_the_same_each_time() -> None:
    mutants = {mutant("Nc1ccc(O)cc1", np.random.default_rng(k)) for k in range(20)}
    assert mutants == {mutant("Nc1ccc(O)cc1", np.random.default_rng(k)) for k in range(20)}
    assert len(mutants) > 10
    assert all(Chem.MolFromSmiles(smiles).GetNumHeavyAtoms() <= 24 for smiles in mutants)


def test_rigid_fragments_are_those_of_open_babel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the library's blocks only the first lines; a sentence where there is no library."""
    found = entries()
    assert len(found) > 4000
    # tetrathiafulvalene and azulene: in crystals, not in drugs
    canonical = {Chem.MolToSmiles(mol) for s in found if (mol := quietly(Chem.MolFromSmiles, s))}
    assert {"C1=CSC(=C2SC=CS2)S1", "c1ccc2cccc-2cc1"} <= canonical
    monkeypatch.setattr(sys.modules[entries.__module__], "find_spec", lambda name: None)
    with pytest.raises(DistillError, match="crystals"):
        entries()


@slow
def test_rigid_fragments_have_charges_of_ions(everything: dict) -> None:
    for kind in ("rigid", "exotic"):
        for molecules in everything[kind].values():
            assert {molecule.charge for molecule in molecules} <= {-2, -1, 0, 1, 2}


def test_fragments_of_imatinib() -> None:
    found = pieces(IMATINIB)
    # its four ring systems, BRICS' cuts, and hydrogens where something was cut off
    for ring in ("c1ccncc1", "c1cncnc1", "CN1CCNCC1", "Cc1ccccc1"):
        assert Chem.CanonSmiles(ring) in found
    for smiles in found:
        assert "*" not in smiles
        assert 3 <= Chem.MolFromSmiles(smiles).GetNumHeavyAtoms() <= 24


def test_a_ring_keeps_what_is_doubly_bound_to_it() -> None:
    caffeine = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
    assert Chem.CanonSmiles("O=c1[nH]c(=O)c2[nH]cnc2[nH]1") in pieces(caffeine)


def test_amino_acids_are_left_handed() -> None:
    for name, residue in RESIDUES.items():
        acid = Chem.MolFromSmiles(residue + "O")
        centres = dict(Chem.FindMolChiralCenters(acid, useLegacyImplementation=False))
        (alpha,) = acid.GetSubstructMatches(Chem.MolFromSmarts("[NX3][#6;X4]C(=O)O"))[:1] or [()]
        expected = {"GLY": None, "CYS": "R"}.get(name, "S")
        assert centres.get(alpha[1]) == expected, name
    masses = {"ALA": 89.09, "TRP": 204.23, "PRO": 115.13, "MET": 149.21}
    for name, mass in masses.items():
        acid = Chem.MolFromSmiles(RESIDUES[name] + "O")
        assert Descriptors.MolWt(acid) == pytest.approx(mass, abs=0.02)


def test_charges_of_ions() -> None:
    for name, smiles in IONS.items():
        charge = from_smiles(smiles).charge
        assert (charge == 0) == ("zwitterion" in name or name == "betaine"), name
        assert abs(charge) <= 1


def test_contact() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y, along = rng.normal(size=(5, 3)), rng.normal(size=(7, 3)), rng.normal(size=3)
        along /= np.linalg.norm(along)
        reach = rng.uniform(1.0, 3.0, (5, 7))
        away = contact_distance(x, y, along, reach)
        assert (cdist(x, y + away * along) / reach).min() == pytest.approx(1.0)
        for further in (0.1, 1.0, 10.0):
            assert (cdist(x, y + (away + further) * along) / reach).min() > 1.0


@slow
def test_dimers_touch_and_can_be_sampled(everything: dict) -> None:
    for molecule in everything["dimers"]["train"][:40]:
        first, second = Chem.GetMolFrags(molecule.rdmol)
        radii = vdw_radii[molecule.numbers]
        for positions in molecule.positions:
            ratio = cdist(positions[list(first)], positions[list(second)])
            ratio /= radii[list(first)][:, None] + radii[list(second)][None]
            assert 0.8 - 1e-9 < ratio.min() < 1.3 + 1e-9
    frames = sample(everything["dimers"]["train"][0], Sampling(frames=6, temperatures=(300.0,)))
    assert len(frames) >= 6


@slow
def test_a_proton_is_handed_over(everything: dict) -> None:
    """One hydrogen of the first molecule is between its atom and one of the second."""
    for molecule in everything["handovers"]["train"][:60]:
        first, second = map(list, Chem.GetMolFrags(molecule.rdmol))
        assert 1 <= len(molecule.positions) <= 8
        hetero = np.isin(molecule.numbers, (7, 8, 16))
        for positions in molecule.positions:
            distances = cdist(positions, positions)
            ways = [
                (distances[d, h], distances[h, a], distances[d, a])
                for d in first
                for a in second
                for h in first
                if hetero[d] and hetero[a] and molecule.rdmol.GetBondBetweenAtoms(d, h)
                if molecule.numbers[h] == 1 and 2.0 < distances[d, a] < 3.3
            ]
            there, on, whole = min(ways, key=lambda way: way[0] + way[1] - way[2])
            assert there + on - whole < 0.5  # nearly a straight line
            assert min(there, on) > 0.5


@slow
def test_clusters_are_compact(everything: dict) -> None:
    molecules = everything["clusters"]["train"]
    sizes = {len(Chem.GetMolFrags(molecule.rdmol)) for molecule in molecules}
    assert sizes == {1, 3, 4, 5, 6}
    for molecule in molecules[:40]:
        radii = vdw_radii[molecule.numbers]
        parts = Chem.GetMolFrags(molecule.rdmol)
        of_part = np.zeros(len(molecule), dtype=int)
        for k, part in enumerate(parts):
            of_part[list(part)] = k
        for positions in molecule.positions:
            ratio = cdist(positions, positions) / (radii[:, None] + radii[None])
            ratio[of_part[:, None] == of_part[None]] = np.inf
            assert ratio.min() > 0.8 - 1e-9
            # nobody is alone
            assert all(ratio[list(part)].min() < 1.3 + 1e-9 for part in parts if len(parts) > 1)


def test_wrong_names() -> None:
    from distill.errors import DistillError

    with pytest.raises(DistillError, match="there are drugs, chembl, fragments"):
        read_molecules("medicines:train")
    with pytest.raises(DistillError, match="ions:train, ions:validation, ions:test"):
        read_molecules("ions:tain")
    with pytest.raises(DistillError, match="dimers:train:800"):
        read_molecules("dimers:train:many")
