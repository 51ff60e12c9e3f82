"""`distill run`, all of it, on a molecule of six atoms; killed at its worst moments."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mdtraj
import numpy as np
import pytest
from typer.testing import CliRunner

from distill import load_student
from distill.cli import app
from distill.data.dataset import Dataset
from distill.data.explore import Explorer
from distill.data.label import label
from distill.data.molecules import from_smiles
from distill.data.sampling import Sampling
from distill.evaluate.frames import read_frames
from distill.run import merge
from distill.teacher.base import TeacherSpec
from tests.limits import children

PROGRAM = Path(sys.executable).parent / "distill"
FILES = {
    "student.safetensors", "dataset.h5", "report.json", "force_analysis.png", "topology.pdb",
    "trajectory.dcd", "md.csv", "run.log",
}  # fmt: skip
HEADLINE = {"force_rmse", "force_mae", "force_r2", "angular_error_deg", "energy_mae_per_atom"}
pytestmark = pytest.mark.slow


def command(out: Path, budget: str = "0.3") -> list[str]:
    return [str(PROGRAM), "run", "CO", "-o", str(out), "--size", "ultra-tiny",
            "--budget", budget, "--from", "random"]  # fmt: skip


def check_complete(out: Path) -> None:
    """Every file of the contract, each of which says something."""
    assert {path.name for path in out.iterdir()} >= FILES
    report = json.loads((out / "report.json").read_text())
    assert set(report) >= HEADLINE
    assert all(np.isfinite(report[key]) for key in HEADLINE)
    assert report["n_frames"] > 0 and report["md"]["steps"] > 0

    trajectory = mdtraj.load(out / "trajectory.dcd", top=str(out / "topology.pdb"))
    assert trajectory.n_atoms == 6
    assert {atom.element.symbol for atom in trajectory.topology.atoms} == {"C", "O", "H"}
    with (out / "md.csv").open() as file:
        assert len(list(csv.DictReader(file))) == trajectory.n_frames > 0

    student = load_student(out / "student.safetensors")
    assert student.card["teacher"]["name"] == "gfn2-xtb"
    assert student.card["held_out"]["force_rmse"] == pytest.approx(report["force_rmse"])
    labels = unique_positions(out / "dataset.h5")
    assert student.card["training_set"]["geometries"] <= len(labels)
    # the check was not trained on
    assert not labels & unique_positions(out / "test.h5")
    assert (out / "run.log").read_text().count("Force RMSE") == 1


def unique_positions(path: Path) -> set[bytes]:
    """The geometries of a dataset; none is there twice."""
    positions = [frame.positions.tobytes() for frame in read_frames(path)]
    assert len(set(positions)) == len(positions)
    return set(positions)


def labels_so_far(out: Path) -> set[bytes]:
    """What a run under way has labelled."""
    found: set[bytes] = set()
    for path in (out / "work").glob("labels-*.h5"):
        with Dataset.open(path) as dataset:
            found |= {x.tobytes() for molecule in dataset for x in molecule.positions}
    return found


def running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], object], process: subprocess.Popen[bytes] | None) -> None:
    """Until the condition holds; the process must not end before."""
    while not condition():
        assert process is None or process.poll() is None, "it ended by itself"
        time.sleep(0.1)


def kill(out: Path, when: Callable[[], object]) -> None:
    """Starts the run, kills it with -9 when the moment has come; no child may survive."""
    process = subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(when, process)
        family = children(process.pid)
        assert family
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: not any(running(pid) for pid in family), None)


@pytest.fixture(scope="module")
def killed_and_done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, set[bytes]]]:
    """A run killed while it labelled and while it trained, then completed; and what it had
    labelled by then."""
    out = tmp_path_factory.mktemp("run") / "methanol"
    kill(out, lambda: labels_so_far(out))
    before = labels_so_far(out)
    checkpoint = out / "work" / "train" / "last.ckpt"
    kill(out, checkpoint.is_file)
    after = labels_so_far(out)
    assert before <= after
    subprocess.run(command(out), check=True)
    yield out, after


def test_killed_twice_it_completes(killed_and_done: tuple[Path, set[bytes]]) -> None:
    out, _ = killed_and_done
    check_complete(out)


def test_no_label_is_lost_or_doubled(killed_and_done: tuple[Path, set[bytes]]) -> None:
    out, labelled = killed_and_done
    assert labelled and labelled <= unique_positions(out / "dataset.h5")


def test_a_complete_run_stays_as_it_is(killed_and_done: tuple[Path, set[bytes]]) -> None:
    out, _ = killed_and_done
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    result = CliRunner().invoke(app, command(out)[1:])
    assert result.exit_code == 0 and "is complete" in result.output
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_other_settings_are_refused(killed_and_done: tuple[Path, set[bytes]]) -> None:
    out, _ = killed_and_done
    result = CliRunner().invoke(app, command(out, budget="5")[1:])
    assert result.exit_code == 2 and "minutes is 0.3 there" in result.stderr


def test_a_teacher_that_fails_on_everything(tmp_path: Path) -> None:
    words = command(tmp_path / "out")
    words[2] = "CCl"  # an element that EMT does not know
    result = subprocess.run(
        [*words, "--teacher", "ase:ase.calculators.emt:EMT"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert "Not one of" in result.stderr and "Traceback" not in result.stderr


def test_gathering_labels_twice_doubles_none(tmp_path: Path) -> None:
    molecule = from_smiles("CO")
    explorers = []
    for k in range(2):
        path = tmp_path / f"labels-{k}.h5"
        label([(molecule, Sampling(frames=3, steps_between=5, seed=k))], TeacherSpec(), path,
              workers=0, progress=False)  # fmt: skip
        explorers.append(Explorer([molecule], TeacherSpec(), tmp_path / "none", path, seed=k))
    for _ in range(2):  # a run killed after the first time comes here again
        merge(explorers, tmp_path / "dataset.h5")
        assert len(unique_positions(tmp_path / "dataset.h5")) == 6


def test_ctrl_c_then_on(tmp_path: Path) -> None:
    out, budget = tmp_path / "methanol", "0.8"  # long enough to be stopped in mid-training
    process = subprocess.Popen(command(out, budget), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for((out / "work" / "train" / "metrics.csv").is_file, process)
    family = children(process.pid)
    os.kill(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate()
    assert process.returncode == 130, (stdout + stderr).decode()
    assert b"the same command goes on from here" in stderr
    assert b"Traceback" not in stdout + stderr
    wait_for(lambda: not any(running(pid) for pid in family), None)
    labelled = labels_so_far(out)
    result = subprocess.run(command(out, budget), capture_output=True, text=True, check=True)
    for chatter in ("litlogger", "GPU available", "CUDA runtime", "Warning"):
        assert chatter not in result.stdout + result.stderr
    check_complete(out)
    assert labelled <= unique_positions(out / "dataset.h5")
