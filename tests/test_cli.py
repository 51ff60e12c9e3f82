"""The command line does what it says, as a user types it."""

import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from distill import __version__, load_student
from distill.cli import app
from distill.data.dataset import Dataset
from distill.student import Student, save_student
from distill.student.neighbours import neighbour_list

PROGRAM = Path(sys.executable).parent / "distill"
COMMANDS = ("run", "label", "train", "evaluate", "check", "info", "export")
HEADLINE = {"force_rmse", "force_mae", "force_r2", "angular_error_deg", "energy_mae_per_atom"}


def typed(*arguments: object) -> Any:
    """The result of a command that must succeed."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output + str(result.exception)
    return result


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels of methanol and water, by the command."""
    path = tmp_path_factory.mktemp("labels") / "small.h5"
    typed("label", "CO", "O", "-o", path, "--frames", 24, "--temperatures", "300,500",
          "--conformers", 1, "--workers", 1)  # fmt: skip
    return path


@pytest.fixture
def student(tmp_path: Path) -> Path:
    """An untrained student's file."""
    path = tmp_path / "student.safetensors"
    save_student(Student.untrained("ultra-tiny"), path)
    return path


def test_help_comes_without_torch() -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from distill.cli import app;"
        "assert CliRunner().invoke(app, ['run', '--help']).exit_code == 0;"
        "heavy = {'torch', 'lightning', 'h5py', 'matplotlib', 'openmm', 'ase', 'rdkit'};"
        "print(*sorted(heavy & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches(command: str) -> None:
    text = re.sub(r"\s+", " ", typed(command, "--help").output)
    assert f"Example: distill {command} " in text


def test_help_shows_defaults() -> None:
    text = typed("run", "--help").output
    for default in ("tiny", "(10)", "gfn2-xtb", "auto", "300.0"):
        assert f"[default: {default}]" in text
    assert set(COMMANDS) <= set(typed("--help").output.split())


def test_version() -> None:
    assert typed("--version").output.strip() == f"distill {__version__}"


@pytest.mark.slow
def test_label_adds_and_goes_on(labels: Path) -> None:
    with Dataset.open(labels) as dataset:
        assert set(dataset.molecules) == {"CO", "O"}
        before = {m.name: m.energy for m in dataset}
        # 24 frames are two batches, so that several processes can share one molecule
        assert [len(m.tasks) for m in dataset] == [2, 2]
        temperatures = np.unique(np.concatenate([m.temperature for m in dataset]))
    assert set(temperatures.tolist()) == {300.0, 500.0}
    again = typed("label", "CO", "O", "N", "-o", labels, "--frames", 24, "--temperatures",
                  "300,500", "--conformers", 1, "--workers", 1)  # fmt: skip
    assert "4 of 6 batches were there already" in again.output
    with Dataset.open(labels) as dataset:
        assert set(dataset.molecules) == {"CO", "O", "N"}
        for name, energy in before.items():
            np.testing.assert_array_equal(dataset[name].energy, energy)


@pytest.mark.slow
def test_train_evaluate_info(labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "trained"
    arguments = ("train", labels, "-o", out, "--size", "ultra-tiny", "--backend", "eager",
                 "--seed", 3)  # fmt: skip
    result = subprocess.run(
        [PROGRAM, *map(str, arguments), "--steps", "4"], capture_output=True, text=True, check=True
    )
    chatter = ("litlogger", "GPU available", "CUDA runtime", "Warning", "`Trainer")
    assert not [word for word in chatter if word in result.stdout + result.stderr]
    assert "Force RMSE" in result.stdout
    assert (out / "curve.png").is_file() and (out / "metrics.csv").is_file()

    typed(*arguments, "--steps", 6, "--resume")
    card = json.loads(typed("info", out / "student.safetensors", "--json").output)
    assert card["size"] == "ultra-tiny" and card["teacher"]["name"] == "gfn2-xtb"
    assert card["training"] == {"minutes": None, "steps": 6, "seed": 3}
    assert set(card["held_out"]) >= HEADLINE
    shown = typed("info", out / "student.safetensors").output
    for word in ("ultra-tiny", f"{card['parameters']:,}", "gfn2-xtb", "5 Å", "tblite"):
        assert word in shown

    typed("evaluate", out / "student.safetensors", labels, "-o", tmp_path / "report")
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert set(report) >= HEADLINE
    assert (tmp_path / "report" / "force_analysis.png").is_file()


@pytest.mark.parametrize("name", ["original", "tiny", "ultra-tiny"])
def test_info_of_an_untrained_student(name: str, tmp_path: Path) -> None:
    save_student(Student.untrained(name), tmp_path / "s.safetensors")
    card = json.loads(typed("info", tmp_path / "s.safetensors", "--json").output)
    assert card["parameters"] == sum(p.numel() for p in Student.untrained(name).parameters())
    assert "no errors are recorded" in typed("info", tmp_path / "s.safetensors").output


def test_export_gives_the_same_forces(
    student: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    out = tmp_path / "student.pt"
    typed("export", student, "--format", "torchscript", "-o", out)
    positions = rng.uniform(0, 5, (8, 3))
    box = np.diag([9.0, 9.0, 9.0])
    edges, shift = neighbour_list(positions, box, np.ones(3, bool), 5.0)
    inputs = (
        torch.tensor(positions, dtype=torch.float32),
        torch.tensor([6, 1, 1, 1, 8, 1, 7, 17]),
        torch.tensor(edges, dtype=torch.int64),
        torch.tensor(shift, dtype=torch.float32),
    )
    card: dict[str, str] = {"distill.json": ""}
    exported = torch.jit.load(out, _extra_files=card)
    energy, forces = exported(*inputs)
    expected = load_student(student)(*inputs)
    torch.testing.assert_close((energy, forces), expected, rtol=1e-6, atol=1e-6)
    assert json.loads(card["distill.json"])["format_version"] == 3
    # what is there is kept, unless --force is given
    out.write_text("mine")
    assert CliRunner().invoke(app, ["export", str(student), "-o", str(out)]).exit_code == 2
    assert out.read_text() == "mine"
    typed("export", student, "-o", out, "--force")
    assert out.read_text(errors="replace") != "mine"


def test_ctrl_c_says_that_it_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("distill.run.run", interrupted)
    result = CliRunner().invoke(app, ["run", "CO", "-o", str(tmp_path / "run")])
    assert result.exit_code == 130
    assert "the same command goes on from here" in result.output
    monkeypatch.setattr("distill.student.file.save_student", interrupted)
    result = CliRunner().invoke(app, ["quantize", "tiny", "-o", str(tmp_path / "q.safetensors")])
    assert result.exit_code == 130
    assert "the same command starts anew" in result.output


def test_run_means_the_same_files_from_any_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, student: Path
) -> None:
    found: list[Any] = []
    monkeypatch.setattr("distill.run.run", lambda settings, *_, **__: found.append(settings))
    (tmp_path / "ligands.smi").write_text("CO methanol\n")
    (tmp_path / "tiny").touch()  # the shipped one is meant all the same
    monkeypatch.chdir(tmp_path)
    name = student.name
    typed("run", "ligands.smi", "-o", "out", "--from", name, "--assistant", name)
    assert [found[0].source, found[0].start, found[0].assistant] == [
        str(tmp_path / "ligands.smi"), str(student), str(student)
    ]  # fmt: skip
    typed("run", "CO", "-o", "out", "--from", "tiny", "--assistant", "none")
    assert [found[1].source, found[1].start, found[1].assistant] == ["CO", "tiny", "none"]


def test_our_own_mistakes_show_a_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("distill.run.run", broken)
    result = CliRunner().invoke(app, ["run", "CO", "-o", str(tmp_path / "run")])
    assert isinstance(result.exception, ZeroDivisionError)


def test_lightning_is_quiet() -> None:
    typed("--help")
    typed("info", "--help")
    assert not logging.getLogger("lightning.pytorch.utilities.rank_zero").isEnabledFor(logging.INFO)
