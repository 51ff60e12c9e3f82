"""A test that hangs fails with its name, what it started is gone, the others run, the run ends."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOYS = {
    "test_python.py": """
        import threading, pytest
        def test_before(): pass
        @pytest.mark.timeout(1)
        def test_waits_for_ever(): threading.Event().wait()
        def test_after(): pass
    """,
    "test_native.py": """
        import ctypes, pytest
        def test_before(): pass
        @pytest.mark.timeout(1)
        def test_holds_the_lock_of_python():
            lock = ctypes.create_string_buffer(64)
            for _ in range(2):
                ctypes.PyDLL(None).pthread_mutex_lock(lock)
        def test_after(): pass
    """,
    "test_child.py": """
        import os, subprocess, sys, pytest
        def test_before(): pass
        @pytest.mark.timeout(1)
        def test_starts_what_hangs():
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1e6)", {mark}])
            try:
                child.wait()
            finally:
                child.wait()
        def test_after(): pass
    """,
    "test_fixture.py": """
        import time, pytest
        @pytest.fixture
        def hanging():
            yield
            time.sleep(1e6)
        def test_before(): pass
        @pytest.mark.timeout(1)
        def test_fails_and_never_cleans_up(hanging): assert False
        def test_after(): pass
    """,
    "test_dying.py": """
        import os
        def test_before(): pass
        def test_dies(): os._exit(1)
        def test_after(): pass
    """,
}
HANGING = ("waits_for_ever", "holds_the_lock_of_python", "starts_what_hangs",
           "fails_and_never_cleans_up", "dies")  # fmt: skip


def toys(folder: Path, *names: str) -> None:
    """Small files of tests, and no rules but the limits."""
    for name in names or TOYS:
        lines = TOYS[name].replace("{mark}", repr(str(folder))).splitlines()
        (folder / name).write_text("\n".join(line[8:] for line in lines))
    (folder / "pytest.ini").write_text("[pytest]\n")


def ran(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """pytest on a folder, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.limits", "-o", "timeout=600",
         "-o", "timeout_method=signal", "-o", "timeout_grace=1", "-rA", *options],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_every_kind_of_hang(workers: int, tmp_path: Path) -> None:
    toys(tmp_path)
    done = ran(tmp_path, "-n", str(workers), "--dist", "loadfile")
    assert done.returncode == 1, done.stdout
    failed = re.findall(r"^(?:FAILED|ERROR) \S+::test_(\w+)", done.stdout, re.M)
    assert sorted(set(failed)) == sorted(HANGING)
    assert failed.count("dies") == failed.count("holds_the_lock_of_python") == 1
    passed = re.findall(r"^PASSED (\S+)::test_(\w+)", done.stdout, re.M)
    assert sorted(passed) == sorted((name, w) for name in TOYS for w in ("after", "before"))
    wait_until_gone(tmp_path)


def wait_until_gone(folder: Path) -> None:
    """Until no process of the test is there."""
    mark = str(folder).encode()
    while any(mark in cmdline(path) for path in Path("/proc").glob("[0-9]*/cmdline")):
        time.sleep(0.1)


def cmdline(path: Path) -> bytes:
    """Words of a program, none when it has just ended."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_without_workers_the_stacks_name_it(tmp_path: Path) -> None:
    toys(tmp_path, "test_native.py")
    done = ran(tmp_path)
    assert done.returncode == 1
    assert "in test_holds_the_lock_of_python" in done.stdout


@pytest.mark.slow
def test_the_run_has_a_limit(tmp_path: Path) -> None:
    toys(tmp_path, "test_child.py", "test_dying.py")
    text = (tmp_path / "test_child.py").read_text().replace("timeout(1)", "timeout(900)")
    (tmp_path / "test_child.py").write_text(text)
    done = ran(tmp_path, "-n", "2", "--dist", "loadfile", "-o", "timeout_run=8")
    assert done.returncode == 1
    assert "The run took more than 8 s" in done.stdout
    assert "\n  test_child.py::test_starts_what_hangs\n" in done.stdout
    wait_until_gone(tmp_path)


def test_slow_tests_have_more_time(pytestconfig: pytest.Config) -> None:
    limits = [float(pytestconfig.getini(name)) for name in ("timeout", "timeout_slow")]
    assert limits == sorted(limits)
    # ten times what `make test` takes where nothing else runs
    assert float(pytestconfig.getini("timeout_run")) >= 10 * 25 * 60


def test_no_test_has_a_shorter_limit_of_its_own() -> None:
    """Ten times what it takes is not enough where that is a second, and four others run beside."""
    short = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for line in path.read_text().splitlines()
        for found in re.findall(r"\btimeout=(\d+)|monotonic\(\) \+ (\d+)", line)
        if path != Path(__file__) and float("".join(found)) < 600
    ]
    assert not short, "leave it out: tests/limits.py ends what hangs\n" + "\n".join(short)
