"""`distill md` from the command line."""

import importlib.util
import json
from pathlib import Path

import mdtraj
import openmm
import pytest
from openmm import app, unit
from rdkit import Chem
from typer.testing import CliRunner

from distill.cli import app as distill
from distill.data.explore import first_geometries
from distill.data.molecules import from_smiles
from distill.student import load_student, save_student


def md(*words: object) -> tuple[int, str]:
    """Exit code, and what it said on one line."""
    result = CliRunner().invoke(distill, ["md", *map(str, words)])
    return result.exit_code, " ".join(result.output.split())


def test_from_a_smiles_to_its_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = ("ultra-tiny", "CO", "-o", out, "--equilibrate", 0.1)
    code, said = md(*asked, "--ps", 0.5)
    assert code == 0, said
    assert {path.name for path in out.iterdir()} == {
        "topology.pdb", "trajectory.dcd", "md.csv", "md.json", "md.png", "md.log", "md-run.json",
        "setup.json.gz", "student.safetensors", "checkpoint.npz",
    }  # fmt: skip
    report = json.loads((out / "md.json").read_text())
    assert report["frames"] == 5 and report["picoseconds"] == 0.5
    assert report["ns_per_day"] > 0 and report["frames_unlike_training"] == 0
    assert 0 < report["mean_temperature"] < 1500

    code, said = md(*asked, "--ps", 0.5)
    assert code == 0 and "is complete" in said
    for name in ("md.csv", "trajectory.dcd"):
        (out / name).rename(tmp_path / name)
        code, said = md(*asked, "--ps", 0.5)
        assert code == 2 and "gone or cut" in said
        (tmp_path / name).rename(out / name)
    code, said = md(*asked, "--ps", 0.8)
    assert code == 0 and "Going on" in said
    assert json.loads((out / "md.json").read_text())["frames"] == 8
    once = tmp_path / "once"
    md(*asked[:2], "-o", once, *asked[4:], "--ps", 0.8)
    for name in ("trajectory.dcd", "md.csv", "topology.pdb"):
        assert (once / name).read_bytes() == (out / name).read_bytes()

    code, said = md(*asked, "--ps", 0.8, "--temperature", 310)
    assert code == 2 and "holds another MD run (temperature is 300.0 there, 310.0 here)" in said
    code, said = md("tiny", *asked[1:], "--ps", 0.8)
    assert code == 2 and "student is 'ultra-tiny' there" in said


@pytest.mark.parametrize(
    "words, told",
    [
        ((), "Name a folder for the results"),
        (("CO", "-o", "x", "--ps", 1, "--ns", 1), "--ps and --ns say the same"),
        (("-o", "x"), "Name what shall be simulated"),
        (("CO", "-o", "x", "--ensemble", "npt"), "no pressure without a box"),
        (("CO", "-o", "x", "--platform", "Abacus"), "OpenMM has Reference"),
        (("no such file.sdf", "-o", "x"), "no such file"),
        (("C[Si](C)(C)C", "-o", "x"), "Si"),
        (("CO.CO", "-o", "x"), "several fragments"),
        (("drugs:test:2", "-o", "x"), "holds 2 molecules"),
        (("tests", "-o", "x"), "not the folder of a `distill run`"),
        (("CO", "--solvent", "beer", "-o", "x"), "--solvent is 'beer'"),
    ],
)
def test_mistakes(words: tuple, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, exit code 2, and nothing half written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").mkdir()
    code, said = md("ultra-tiny", *words)
    assert code == 2 and told in said
    assert not (tmp_path / "x").exists()


def test_words_may_be_in_capitals(tmp_path: Path) -> None:
    """Of the options; and it is the same run."""
    asked = ("ultra-tiny", "CO", "-o", tmp_path / "out", "--ps", 0.2, "--equilibrate", 0)
    code, said = md(
        *asked, "--ensemble", "NVE", "--solvent", "None", "--platform", "reference", "--box",
        "Dodecahedron", "--water-model", "TIP3P", "--precision", "Float32", "--charges", "AM1-BCC",
    )  # fmt: skip
    assert code == 0, said
    found = json.loads((tmp_path / "out" / "md.json").read_text())
    assert found["ensemble"] == "nve" and found["platform"] == "Reference"
    code, said = md(*asked, "--ensemble", "nve")
    assert code == 0 and "is complete" in said


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    code, said = md("ultra-tiny", "CO", "-o", tmp_path)
    assert code == 2 and "is not empty and holds no MD run" in said
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_folder_of_a_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"settings": {"source": "CO", "charge": None}}))
    short = ("--ps", 0.2, "--equilibrate", 0)
    code, said = md(run, "-o", tmp_path / "md", *short)
    assert code == 2 and "holds no student.safetensors" in said
    save_student(load_student("ultra-tiny"), run / "student.safetensors")
    for number, words in enumerate([(run,), ("ultra-tiny", run), (run, "CO")]):
        out = tmp_path / str(number)
        code, said = md(*words, "-o", out, *short)
        assert code == 0, said
        assert json.loads((out / "md.json").read_text())["student_atoms"] == 6


def test_a_run_that_breaks_up_says_so(tmp_path: Path) -> None:
    code, said = md(
        "ultra-tiny", "CO", "-o", tmp_path / "x", "--ps", 3, "--equilibrate", 0,
        "--timestep", 5, "--hydrogen-mass", 1.008, "--temperature", 3000,
    )  # fmt: skip
    assert code == 0
    report = json.loads((tmp_path / "x" / "md.json").read_text())
    assert "broke_up" in report and report["broke_up"].split(".")[0] in said


def test_a_folder_may_have_the_name_of_its_smiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ("ultra-tiny", "CO", "-o", "CO", "--equilibrate", 0)
    for ps in (0.2, 0.3):
        code, said = md(*asked, "--ps", ps)
        assert code == 0, said
    (tmp_path / "afile").write_text("")
    code, said = md("ultra-tiny", "CO", "-o", "afile")
    assert code == 2 and "afile is a file" in said


def test_the_student_may_be_gone(tmp_path: Path) -> None:
    """The folder has its copy."""
    file = tmp_path / "mine.safetensors"
    save_student(load_student("ultra-tiny"), file)
    asked = (file, "CO", "-o", tmp_path / "out", "--equilibrate", 0)
    assert md(*asked, "--ps", 0.2)[0] == 0
    file.unlink()
    code, said = md(*asked, "--ps", 0.4)
    assert code == 0, said


def in_openmmtools(folder: str) -> Path:
    """Its data, without the package's own dependencies."""
    spec = importlib.util.find_spec("openmmtools")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "data" / folder


@pytest.mark.slow
def test_ready_made_systems(tmp_path: Path) -> None:
    """A guest in its host by Amber's files; a residue of a peptide by a System and by files of
    OpenMM's; each has all of its atoms in the trajectory."""
    short = ("--ps", 0.2, "--every", 0.1, "--equilibrate", 0.05, "--platform", "CPU")
    cb7 = in_openmmtools("cb7-b2")
    peptide = Path(__file__).parents[2] / "examples" / "alanine_dipeptide.pdb"
    pdb = app.PDBFile(str(peptide))
    system = app.ForceField("amber14-all.xml").createSystem(pdb.topology, constraints=app.HBonds)
    (tmp_path / "system.xml").write_text(openmm.XmlSerializer.serialize(system))
    cases = {
        "prmtop": (
            "--prmtop", cb7 / "complex-vacuum.prmtop", "--inpcrd", cb7 / "complex-vacuum.inpcrd",
            "--ml", "B2",
        ),
        "xml": ("--system", tmp_path / "system.xml", "--pdb", peptide, "--ml", "atoms 0-21"),
        "files": ("--force-field", "amber14-all.xml", "--pdb", peptide, "--ml", "atoms 10-13"),
    }  # fmt: skip
    for name, words in cases.items():
        code, said = md("ultra-tiny", *words, "-o", tmp_path / name, *short)
        assert code == 0, said
        found = json.loads((tmp_path / name / "md.json").read_text())
        trajectory = mdtraj.load(
            tmp_path / name / "trajectory.dcd", top=str(tmp_path / name / "topology.pdb")
        )
        assert trajectory.n_frames == found["frames"] == 2
        assert found["student_atoms"] == {"prmtop": 30, "xml": 22, "files": 4}[name]
    code, said = md("ultra-tiny", *cases["prmtop"][:-1], "LIG", "-o", tmp_path / "x", *short)
    assert code == 2 and "no residue LIG" in said and "B2" in said
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_a_ligand_in_its_protein(tmp_path: Path) -> None:
    """Methanol beside a capped alanine, from a PDB file and an SDF file, in implicit solvent."""
    peptide = Path(__file__).parents[2] / "examples" / "alanine_dipeptide.pdb"
    there = app.PDBFile(str(peptide)).getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    molecule = from_smiles("CO")
    rdmol = Chem.Mol(molecule.rdmol)
    where = first_geometries(molecule, 1, 0)[0]
    where += [there[:, 0].max() + 4.0 - where[:, 0].min(), *(there.mean(0) - where.mean(0))[1:]]
    conformer = Chem.Conformer(len(molecule))
    conformer.SetPositions(where)
    rdmol.RemoveAllConformers()
    rdmol.AddConformer(conformer)
    Chem.MolToMolFile(rdmol, str(tmp_path / "ligand.sdf"))
    code, said = md(
        "ultra-tiny", "--complex", peptide, "--ligand", tmp_path / "ligand.sdf", "--solvent",
        "obc2", "-o", tmp_path / "out", "--ps", 0.2, "--every", 0.1, "--equilibrate", 0.1,
    )  # fmt: skip
    assert code == 0, said
    found = json.loads((tmp_path / "out" / "md.json").read_text())
    assert (found["student_atoms"], found["atoms"]) == (6, 28) and "broke_up" not in found
    assert "density_g_per_cm3" not in found and found["ensemble"] == "nvt"
