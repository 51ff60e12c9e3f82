"""One run at a time in a folder."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from distill.cli import app
from distill.errors import DistillError
from distill.lock import sole_user

HOLD = """
import sys
from pathlib import Path
from distill.lock import sole_user
with sole_user(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("command", ["run", "train"])
def test_a_second_run_is_refused_at_once(command: str, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        words = {"run": ["run", "CO"], "train": ["train", str(tmp_path / "none.h5")]}[command]
        result = CliRunner().invoke(app, [*words, "-o", str(out)])
        assert result.exit_code == 2
        assert "Another run is at work" in result.stderr and result.stderr.count("\n") == 1
    finally:
        other.communicate(b"")
    assert not (tmp_path / "deep").exists()  # nothing was put there
    with sole_user(out):
        (out / "kept").touch()
    assert (out / "kept").exists()


def test_the_lock_of_a_killed_run_is_gone(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    assert other.stdout is not None and other.stdout.readline() == b"held\n"
    with pytest.raises(DistillError, match="Another run"):
        with sole_user(tmp_path):
            pass
    other.kill()
    other.communicate()
    with sole_user(tmp_path):
        pass
