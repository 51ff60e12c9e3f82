"""`distill run` with a teacher of whom few labels can be had; what a label takes is a sleep."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from distill import load_student
from distill.evaluate.frames import read_frames
from tests.limits import children

PROGRAM = Path(sys.executable).parent / "distill"
pytestmark = pytest.mark.slow
SLOW = """
import time
from tblite.ase import TBLite

class Slow(TBLite):
    def __init__(self, seconds, die_at=0, **more):
        super().__init__(method="GFN1-xTB", verbosity=0, **more)
        self.left, self.seconds = die_at, seconds

    def calculate(self, *arguments, **more):
        time.sleep(self.seconds)
        self.left -= 1
        if self.left == 0:
            import os
            os._exit(3)
        super().calculate(*arguments, **more)
"""


def command(out: Path, *more: str) -> list[str]:
    return [str(PROGRAM), "run", "CO", "-o", str(out), "--size", "ultra-tiny",
            "--teacher", "ase:slow:Slow", "--teacher-option", "seconds=0.3", *more]  # fmt: skip


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "slow.py").write_text(SLOW)
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def check(out: Path, labels: int) -> None:
    """All is there; the student is nearer to its teacher than the shipped one."""
    report = json.loads((out / "report.json").read_text())
    assert report["labels"] == labels == len(read_frames(out / "dataset.h5"))
    assert report["seconds_per_label"] > 0.3
    curve = report["learning_curve"]
    assert curve[0]["labels"] == 0 and curve[-1]["labels"] < labels
    assert all(np.diff([point["labels"] for point in curve]) > 0)
    assert (out / "learning_curve.png").is_file() == (len(curve) > 1)
    assert report["force_rmse"] < curve[0]["force_rmse"]
    student = load_student(out / "student.safetensors")
    assert student.latent is not None
    assert student.card["assistant"] == {"started_from": "original", "labels": labels}
    assert student.card["training_set"]["geometries"] == labels


def test_the_assistant_learns_labels_as_they_come_and_after_a_kill(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    out = tmp_path / "out"
    wanted = command(out, "--labels", "12", "--budget", "1.5")
    first = subprocess.Popen(wanted, env=environment, stdout=subprocess.DEVNULL)
    curve = out / "work" / "learning_curve.json"
    while not curve.is_file() and first.poll() is None:
        time.sleep(0.1)
    assert first.poll() is None
    for process in (first.pid, *children(first.pid)):
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            pass
    first.wait()
    done = subprocess.run(wanted, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    check(out, 12)


def test_a_teacher_that_dies_is_told(tmp_path: Path, environment: dict[str, str]) -> None:
    """And the same command goes on with what it had labelled."""
    out = tmp_path / "out"
    wanted = command(out, "--labels", "6", "--budget", "1.5")
    dying = subprocess.run(
        [*wanted, "--teacher-option", "die_at=4"], env=environment, capture_output=True, text=True
    )
    assert dying.returncode == 2 and "the same command goes on" in dying.stdout + dying.stderr
    assert not (out / "student.safetensors").exists()
