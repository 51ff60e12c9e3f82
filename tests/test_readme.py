"""What the README and the first pages of docs/ show works as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from openmm import app, unit

from distill import load_student
from distill.data.molecules import read_molecules
from distill.student import save_student
from distill_openmm.topology import topology_of

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = "\n".join(
    [README, *((ROOT / "docs" / f"{page}.md").read_text() for page in ("start", "engines"))]
)
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGES, re.DOTALL)
COMMANDS = sorted(set(re.findall(r"(?:`|^)distill ([a-z]+) \S", PAGES, re.MULTILINE)))


@pytest.mark.slow
@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda code: code.splitlines()[0])
def test_snippet(snippet: str, tmp_path: Path) -> None:
    from rdkit.Chem import AllChem

    folder = tmp_path / "paracetamol"
    folder.mkdir()
    save_student(load_student("tiny"), folder / "student.safetensors")
    molecule = read_molecules("CC(=O)Nc1ccc(O)cc1")[0]
    AllChem.EmbedMolecule(molecule.rdmol, randomSeed=1)
    positions = np.array(molecule.rdmol.GetConformer().GetPositions()) * unit.angstrom
    with (folder / "topology.pdb").open("w") as file:
        app.PDBFile.writeFile(topology_of(molecule), positions, file)
    result = subprocess.run(
        [sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_every_snippet_is_found() -> None:
    assert README.count("```python") == 2
    assert len(SNIPPETS) == PAGES.count("```python") == 5


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_there(command: str) -> None:
    program = Path(sys.executable).parent / "distill"
    result = subprocess.run(
        [program, command, "--help"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "--help" in result.stdout


def test_the_house_opens_with_the_two_commands() -> None:
    first_code = README.split("```")[1]
    assert re.findall(r"^make (\w+)", first_code, re.MULTILINE) == ["demo", "test"]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:`|^)make ([a-z][a-z-]*)", PAGES, re.MULTILINE)) <= set(targets)
