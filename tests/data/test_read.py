"""Files as people have them, and all that is wrong with them told at once."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem
from typer.testing import CliRunner

import distill.data.read
from distill.cli import app
from distill.data.molecules import read_molecules, read_sources
from distill.errors import DistillError

WATER = [
    ("O", "0.0", "0.0", "0.119"),
    ("H", "0.0", "0.763", "-0.477"),
    ("H", "0.0", "-0.763", "-0.477"),
]
CARBONATE = [
    ("C", "0", "0", "0"),
    ("O", "0", "0", "1.3"),
    ("O", "1.126", "0", "-0.65"),
    ("O", "-1.126", "0", "-0.65"),
]


def xyz(
    rows: list[tuple[str, ...]] = WATER, comment: str = "", count: object = None, sep: str = " "
) -> str:
    count = len(rows) if count is None else count
    return f"{count}\n{comment}\n" + "".join(sep.join(row) + "\n" for row in rows)


def relabelled(*labels: str) -> list[tuple[str, ...]]:
    return [(label, *row[1:]) for label, row in zip(labels, WATER)]


def written(folder: Path, name: str, content: str | bytes) -> str:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(folder / name)


LATTICE = 'Lattice="9 0 0 0 9 0 0 0 9" '
ALL_WATER = {
    "plain": xyz(),
    "tabs": xyz(sep="\t"),
    "commas": xyz(sep=", "),
    "Windows": xyz().replace("\n", "\r\n"),
    "old Mac": xyz().replace("\n", "\r"),
    "BOM": b"\xef\xbb\xbf" + xyz().encode(),
    "UTF-16": xyz().encode("utf-16"),
    "Latin-1": xyz(comment="in Ångström").encode("latin-1"),
    "blank lines": "\n\n" + xyz() + "\n   \n\n",
    "trailing spaces": xyz().replace("\n", "   \n"),
    "Fortran": xyz([(s, *(f"{float(v):.6e}".replace("e", "D") for v in p)) for s, *p in WATER]),
    "Mathematica": xyz([(s, *(f"{float(v) * 10:.6f}*^-1" for v in p)) for s, *p in WATER]),
    "more columns": xyz([(*row, "0.1", "0.2", "0.3") for row in WATER]),
    "numbers": xyz(relabelled("8", "1", "1")),
    "labels": xyz(relabelled("O1", "H12", "H_3")),
    "names": xyz(relabelled("OW", "HW1", "HW2")),
    "lower case": xyz(relabelled("o", "h", "h")),
    "Z": xyz(relabelled("8", "1", "1"), "Properties=Z:I:1:pos:R:3"),
    "other columns first": xyz(
        [(*row[1:], row[0]) for row in WATER], "Properties=pos:R:3:species:S:1"),
    "no periodicity": xyz(comment=LATTICE + 'pbc="F F F"'),
}  # fmt: skip


@pytest.mark.parametrize("kind", ALL_WATER)
def test_all_these_are_water(kind: str, tmp_path: Path) -> None:
    (molecule,) = read_molecules(written(tmp_path, "it.xyz", ALL_WATER[kind]))
    assert (molecule.smiles, molecule.charge, molecule.spin) == ("O", 0, 1)
    expected = np.array([[float(x) for x in row[1:]] for row in WATER])
    assert molecule.positions[0] == pytest.approx(expected, abs=1e-6)


def test_qm9(tmp_path: Path) -> None:
    rows = [(*row, "-0.5") for row in WATER]
    text = xyz(rows, "gdb 3\t799.58\t437.90", sep="\t").replace("-0.477", "-4.77*^-1")
    text += "1671.4\t3803.6\t3907.6\nO\tO\nInChI=1S/H2O/h1H2\tInChI=1S/H2O/h1H2\n"
    (molecule,) = read_molecules(written(tmp_path, "dsgdb9nsd_000003.xyz", text + text))
    assert molecule.smiles == "O" and len(molecule.positions) == 2


@pytest.mark.parametrize("label", ["D", "H(Iso=2)"])
def test_deuterium(label: str, tmp_path: Path) -> None:
    (molecule,) = read_molecules(written(tmp_path, "it.xyz", xyz(relabelled("O", label, "T"))))
    assert molecule.numbers.tolist() == [8, 1, 1]
    assert molecule.smiles == "[2H]O[3H]"
    assert [atom.GetIsotope() for atom in molecule.rdmol.GetAtoms()] == [0, 2, 3]


def test_capitals_and_names_of_atoms(tmp_path: Path) -> None:
    rows = [("CA", "0", "0", "0"), ("CL", "0", "0", "1.78"), ("BR", "1.85", "0", "-0.6"),
            ("HB1", "-0.5", "0.9", "-0.36"), ("HB2", "-0.5", "-0.9", "-0.36")]  # fmt: skip
    (molecule,) = read_molecules(written(tmp_path, "it.xyz", xyz(rows)))
    assert molecule.smiles == "ClCBr"
    with pytest.raises(DistillError, match="elements no student knows: Ca"):
        read_molecules(written(tmp_path, "it.xyz", xyz([("CA", "0", "0", "0")])))


BAD = {
    "none": (xyz([]), "frame 1: it has 0 atoms"),
    "count too large": (xyz(count=4), "line 1 says 4 atoms, but only 3 follow"),
    "count too small": (xyz(count=2), "line 5 is 'H 0.0 -0.763 -0.477'.*number on line 1 right"),
    "no count": ("".join(" ".join(row) + "\n" for row in WATER), "begins with the number of atoms"),
    "negative count": ("-3\n\n", "begins with the number of atoms"),
    "decimal comma": (xyz([("O", "0,0", "0,0", "0,1"), *WATER[1:]]), "write a decimal point"),
    "two coordinates": (xyz([("O", "0", "0"), *WATER[1:]]), "three coordinates"),
    "dummy atom": (xyz(relabelled("O", "H", "X")), "'X' is neither"),
    "ghost atom": (xyz(relabelled("O", "H", "H-Bq")), "'H-Bq' is neither"),
    "crystal": (xyz(comment=LATTICE), "periodic"),
    "second frame": (xyz() + xyz(relabelled("O", "H", "Q")), "frame 2: 'Q'.*--skip-bad"),
    "frames counted": (xyz(comment="1 2") + xyz(comment="2 1"), "two charges"),
    "binary": (bytes(range(256)) * 4, "not a text file"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_what_is_wrong_with_an_xyz(kind: str, tmp_path: Path) -> None:
    content, words = BAD[kind]
    with pytest.raises(DistillError, match=words):
        read_molecules(written(tmp_path, "it.xyz", content))


def test_charges(tmp_path: Path) -> None:
    path = written(tmp_path, "it.xyz", xyz(CARBONATE, "Charge=-2"))
    assert read_molecules(path)[0].smiles == "O=C([O-])[O-]"
    path = written(tmp_path, "it.xyz", xyz(CARBONATE))
    (neutral,) = read_molecules(path)
    assert neutral.rdmol is None and "look like charge -2" in neutral.notes[0]
    assert read_sources([path], charge=-2)[0].charge == -2
    with pytest.raises(DistillError, match="cannot have multiplicity 2"):
        read_sources([path], charge=-2, spin=2)
    with pytest.raises(DistillError, match="charge 0 by its bonds, not 1"):
        read_molecules("CCO", charge=1)


def ethanol(name: str = "CCO") -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(name))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    return mol


@pytest.mark.parametrize("kind", ["no end", "V3000", "Windows", "gzip"])
def test_sdf(kind: str, tmp_path: Path) -> None:
    block = Chem.MolToMolBlock(ethanol())
    name, content = {
        "no end": ("it.sdf", block.encode()),
        "V3000": ("it.mol", Chem.MolToV3KMolBlock(ethanol()).encode()),
        "Windows": ("it.sdf", (block + "$$$$\n").replace("\n", "\r\n").encode()),
        "gzip": ("it.sdf.gz", gzip.compress((block + "$$$$\n").encode())),
    }[kind]
    (molecule,) = read_molecules(written(tmp_path, name, content))
    assert molecule.smiles == "CCO" and len(molecule.positions) == 1


def test_bad_sdf(tmp_path: Path) -> None:
    block = Chem.MolToMolBlock(ethanol("C[N+](C)(C)C"))
    forgotten = "\n".join(x for x in block.splitlines() if not x.startswith("M  CHG")) + "\n$$$$\n"
    good = Chem.MolToMolBlock(ethanol()) + "$$$$\n"
    with pytest.raises(DistillError, match="molecule 1: Explicit valence.*greater.*--skip-bad"):
        read_molecules(written(tmp_path, "it.sdf", forgotten + good))
    contrary = Chem.MolToMolBlock(ethanol()) + "> <charge>\n-2\n\n$$$$\n"
    with pytest.raises(DistillError, match="charge 0, its data fields say -2"):
        read_molecules(written(tmp_path, "it.sdf", contrary))
    salt = Chem.MolToMolBlock(Chem.MolFromSmiles("CC(=O)[O-].[Na+]")) + "$$$$\n"
    path = written(tmp_path, "it.sdf", salt)
    with pytest.raises(DistillError, match="several fragments"):
        read_molecules(path)
    assert read_molecules(path, largest_fragment=True)[0].smiles == "CC(=O)[O-]"
    flat = Chem.MolToMolBlock(Chem.MolFromSmiles("CC(O)F")) + "$$$$\n"
    (chosen,) = read_molecules(written(tmp_path, "it.sdf", flat))
    assert "@" in chosen.smiles and chosen.notes


def test_pdb(tmp_path: Path) -> None:
    text = Chem.MolToPDBBlock(ethanol())
    blank = "\n".join(line[:66] for line in text.splitlines())
    for name, content in (("it.pdb", text.replace("\n", "\r\n")), ("it.pdb.gz", None)):
        packed = gzip.compress(text.encode()) if content is None else content
        (molecule,) = read_molecules(written(tmp_path, name, packed))
        assert (molecule.smiles, molecule.notes) == ("CCO", ())
    (guessed,) = read_molecules(written(tmp_path, "it.pdb", blank))
    assert guessed.smiles == "CCO" and "taken for C H O" in guessed.notes[0]
    calcium = "\nHETATM   99 CA    CA A   2      20.000  20.000  20.000  1.00  0.00\n"
    for bad in (blank + calcium, blank.replace(" O1 ", " Z1 ")):
        with pytest.raises(DistillError, match="columns 77-78"):
            read_molecules(written(tmp_path, "it.pdb", bad))
    anion = [line for line in text.splitlines() if " H6 " not in line]
    anion = [line[:78] + "1-" if " O1 " in line else line for line in anion]
    path = written(tmp_path, "it.pdb", "\n".join(anion))
    assert read_molecules(path)[0].smiles == "CC[O-]"
    with pytest.raises(DistillError, match="charge -1 in its columns 79-80"):
        read_molecules(path, charge=1)


def test_names_of_atoms_of_a_pdb(tmp_path: Path) -> None:
    """CA, CB, HA1, BR1: names of a ligand whose element columns are blank."""
    places = [("CL1", -1.914, -0.926, -0.634), (" CA", -0.707, 0.231, -0.017),
              (" CB", 0.697, -0.318, -0.021), ("BR1", 1.792, 1.131, 0.689),
              (" HA1", -0.745, 1.172, -0.614), ("HA2", -1.0, 0.507, 1.035),
              (" HB1", 1.091, -0.547, -1.025), ("HB2", 0.786, -1.25, 0.587)]  # fmt: skip
    text = "".join(
        f"HETATM{k:5d} {name:<4} LIG A   1    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00\n"
        for k, (name, x, y, z) in enumerate(places, start=1)
    )
    (molecule,) = read_molecules(written(tmp_path, "it.pdb", text))
    assert molecule.smiles == "ClCCBr"


def test_smi(tmp_path: Path) -> None:
    text = "SMILES\tName\r\nCCO\tethyl alcohol\r\n\r\nC[CH]C |^1:1| radical\r\n"
    text = text.replace("C[CH]C", "CCC")
    molecules = read_molecules(written(tmp_path, "it.smi", b"\xef\xbb\xbf" + text.encode()))
    assert [(m.name, m.spin) for m in molecules] == [("ethyl alcohol", 1), ("radical", 2)]


LIST = "CCO ethanol\nCC(=O)[O-].[Na+] salt\nfoo\nCCN amine\nC[Si](C)(C)C tms\n"


def test_all_bad_lines_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, "lib.smi", LIST)
    with pytest.raises(DistillError) as caught:
        read_molecules(path)
    text = str(caught.value)
    for words in ("3 molecules", "--skip-bad", "line 2", "'CC(=O)[O-]'", "line 3", "line 5: tms"):
        assert words in text
    skipped: list[str] = []
    good = read_sources([path, "CCC"], skipped=skipped)
    assert [m.name for m in good] == ["ethanol", "amine", "CCC"] and len(skipped) == 3
    assert [m.name for m in read_sources([path], largest_fragment=True, skipped=[])] == [
        "ethanol", "salt", "amine",
    ]  # fmt: skip
    with pytest.raises(DistillError, match="2 molecules cannot be used; mend them:"):
        read_sources([written(tmp_path, "none.smi", "foo\nbar\n")], skipped=[])


def test_of_thousands_of_bad_lines_some_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, "lib.smi", "CCO same\n" * 3000 + "x\n" * 500)
    with pytest.raises(DistillError) as caught:
        read_molecules(path)
    assert "500 molecules" in str(caught.value) and "and 480 more" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 22


def test_skip_bad_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def label(tasks: list, *_: object, **__: object) -> None:
        asked.extend(molecule.name for molecule, _ in tasks)
        raise DistillError("enough")

    monkeypatch.setattr(sys.modules["distill.data.label"], "label", label)
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "lib.smi", LIST)
    written(tmp_path, "co3.xyz", xyz(CARBONATE))
    words = ["label", "lib.smi", "co3.xyz", "-o", "out.h5"]
    result = CliRunner().invoke(app, [*words, "--skip-bad"])
    assert asked == ["ethanol", "amine", "co3"]
    assert "3 left out" in result.stderr and "line 3" in result.stderr
    assert "look like charge -2" in result.stderr


def test_ctrl_c_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(distill.data.read, "with_orders", stopped)
    with pytest.raises(KeyboardInterrupt):
        read_sources([written(tmp_path, "it.xyz", xyz())], skipped=[])


def test_bonds_are_found_once_for_a_trajectory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    found = distill.data.read.with_orders
    monkeypatch.setattr(
        distill.data.read, "with_orders", lambda *args: calls.append(args) or found(*args)
    )
    nudged = [[(s, *(f"{float(x) + 0.01 * k}" for x in p)) for s, *p in WATER] for k in range(50)]
    path = written(tmp_path, "it.xyz", "".join(map(xyz, nudged)) + 9 * xyz(CARBONATE))
    water, carbonate = read_molecules(path)
    assert len(water.positions) == 50 and water.smiles == "O"
    assert len(carbonate.positions) == 9 and carbonate.rdmol is None
    assert len(calls) == 3  # a second way is tried for what has no bonds


def test_both_enantiomers_of_a_file_are_told_apart(tmp_path: Path) -> None:
    mol = ethanol("C[C@H](F)Cl")
    numbers = [atom.GetSymbol() for atom in mol.GetAtoms()]
    places = mol.GetConformer().GetPositions()
    text = "".join(
        xyz([(s, *map(str, p)) for s, p in zip(numbers, places * [1, 1, sign])])
        for sign in (1, 1, -1)
    )
    found = {m.smiles: len(m.positions) for m in read_molecules(written(tmp_path, "it.xyz", text))}
    assert found == {"C[C@H](F)Cl": 2, "C[C@@H](F)Cl": 1}


def test_models_of_a_pdb_are_one_molecule(tmp_path: Path) -> None:
    def block(smiles: str) -> str:
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        AllChem.EmbedMolecule(mol, randomSeed=1)
        return Chem.MolToPDBBlock(mol).replace("END\n", "")

    def models(*smiles: str) -> str:
        return "".join(f"MODEL     {k:4d}\n{block(s)}ENDMDL\n" for k, s in enumerate(smiles, 1))

    # the same number of atoms, fewer, more
    for others in (("CCO", "CC(F)O"), ("CCO", "COC"), ("CCO", "C"), ("C", "CCO")):
        for text in (models(*others), "".join(block(s) + "END\n" for s in others)):
            with pytest.raises(DistillError, match="model 2 has other atoms than model 1"):
                read_molecules(written(tmp_path, "two.pdb", text))
    # VMD writes END between the frames of a trajectory
    for text in (models("CCO", "CCO", "CCO"), (block("CCO") + "END\n") * 3):
        (molecule,) = read_molecules(written(tmp_path, "three.pdb", text))
        assert molecule.smiles == "CCO" and len(molecule.positions) == 3


@pytest.mark.parametrize("smiles", ["CC O", "CCO ethanol", "éCC", "CCO\u200b", "C\nC"])
def test_a_smiles_is_read_to_its_end(smiles: str) -> None:
    with pytest.raises(DistillError, match="has no place in one"):
        read_molecules(smiles)


@pytest.mark.parametrize(
    "comment", ["units=bohr", "positions in a.u.", "coordinates in atomic units", "geometry in nm"]
)
def test_coordinates_in_other_units(tmp_path: Path, comment: str) -> None:
    text = f"2\n{comment}\nH 0 0 0\nH 0 0 1.4\n"
    with pytest.raises(DistillError, match="write coordinates in Å"):
        read_molecules(written(tmp_path, "h2.xyz", text))
    text = text.replace(comment, "energy=-1.17 hartree, gradient 1e-5 hartree/bohr")
    (molecule,) = read_molecules(written(tmp_path, "h2.xyz", text.replace("1.4", "0.74")))
    assert molecule.smiles == "[H][H]"
