"""Ctrl-C and SIGTERM: at any moment, once or twice, the program ends, whole and quietly."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from distill.data.dataset import Dataset
from distill.stop import ctrl_c_later, hears_ctrl_c

ROOT = Path(__file__).parents[1]
PROGRAM = [sys.executable, "-m", "distill"]
LABEL = ["label", "CCO", "c1ccccc1O", "--frames", "400", "--workers", "2", "-o"]


def start(words: list[str]) -> "subprocess.Popen[str]":
    """The program in a session of its own, as in a terminal of its own."""
    return subprocess.Popen(
        [*PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def family(session: int) -> list[psutil.Process]:
    """All processes of a session but zombies."""
    found = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            pass
    return found


def stop(process: "subprocess.Popen[str]", sent: int, again_after: float | None = None) -> None:
    """Sends a signal to the whole group, as a terminal does; everything ends, and quietly."""
    try:
        os.killpg(process.pid, sent)
        if again_after is not None:
            time.sleep(again_after)
            if process.poll() is None:
                os.killpg(process.pid, sent)
        output, _ = process.communicate(timeout=900)
        assert process.returncode == 130, output
        assert "Stopped" in output
        assert "Traceback" not in output and "Exception" not in output
        deadline = time.monotonic() + 900
        while family(process.pid):
            assert time.monotonic() < deadline, "somebody is left"
            time.sleep(0.05)
    finally:
        for left in family(process.pid):
            left.kill()


def wait_until(process: "subprocess.Popen[str]", condition: object) -> None:
    deadline = time.monotonic() + 900
    while not condition():  # type: ignore[operator]
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)


def listens(pid: int) -> bool:
    """Whether the program has its handlers: before that it is Python that starts."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGALRM - 1) & 1)


@pytest.mark.slow
def test_labelling_is_stopped_while_its_workers_start(tmp_path: Path) -> None:
    """In which they would die of the same Ctrl-C, while they import their libraries."""
    path = tmp_path / "set.h5"
    moments = [
        (0.0, signal.SIGINT, None), (0.2, signal.SIGINT, 0.05), (0.5, signal.SIGTERM, None),
        (0.9, signal.SIGINT, 0.3), (1.5, signal.SIGINT, None),
    ]  # fmt: skip
    for after, sent, again in moments:
        process = start([*LABEL, str(path)])
        wait_until(process, lambda p=process: len(family(p.pid)) > 2)  # the first worker is born
        time.sleep(after)
        stop(process, sent, again)
    process = start(["label", "CCO", "--frames", "3", "--workers", "1", "-o", str(path)])
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    with Dataset.open(path) as dataset:
        assert dataset.frames >= 3
        for data in dataset:
            assert len(set(data.tasks)) == len(data.tasks)


@pytest.mark.slow
def test_a_run_is_stopped_while_its_explorers_start(tmp_path: Path) -> None:
    words = ["run", "CO", "-o", str(tmp_path / "out"), "--size", "ultra-tiny", "--budget", "0.5"]
    for after, again in ((0.05, None), (0.5, 0.2), (2.0, None)):
        process = start(words)
        wait_until(process, lambda p=process: len(family(p.pid)) > 2)
        time.sleep(after)
        stop(process, signal.SIGINT, again)


@pytest.mark.slow
def test_stopped_while_it_is_loaded(tmp_path: Path) -> None:
    for seconds in (0.0, 0.15, 0.4):  # of processor time, once Python itself has started
        process = start([*LABEL, str(tmp_path / "set.h5")])
        used = psutil.Process(process.pid)
        wait_until(process, lambda p=process: listens(p.pid))
        before = used.cpu_times().user
        wait_until(process, lambda u=used, s=before + seconds: u.cpu_times().user >= s)
        stop(process, signal.SIGINT)


def test_ctrl_c_in_an_import_is_heard_after_it(tmp_path: Path) -> None:
    """Where a compiled module may make an ImportError of it, or Python ignore it."""
    (tmp_path / "slow.py").write_text(
        "import os, signal, time\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "time.sleep(0.2)\n"
        "print('imported', flush=True)\n"
    )
    script = (
        "from distill.stop import listen\n"
        "listen()\n"
        "try:\n"
        "    import slow\n"
        "    import time\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    print('heard')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}, check=True,
    )  # fmt: skip
    assert result.stdout.split() == ["imported", "heard"] and not result.stderr


def test_ctrl_c_waits_for_the_end_of_a_block() -> None:
    done = False
    with pytest.raises(KeyboardInterrupt):
        with ctrl_c_later() as came:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            done = True
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with ctrl_c_later() as came:
        pass
    assert not came


def test_a_process_started_in_a_block_never_hears_it() -> None:
    """Neither at once nor when its own handlers are in place."""
    with ctrl_c_later():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)"])
    child.send_signal(signal.SIGINT)
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=900) == 0


def test_ctrl_c_during_an_embedding_is_heard() -> None:
    """RDKit takes it for itself and returns as if there were no conformer."""
    smiles = "CCSCc1ccc2c(c1)c1c3c(c4c5cc(CSCC)ccc5n5c4c1n2[C@@H]1C[C@H](C(=O)OOC)[C@]5(C)O1)CNC3=O"
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    settings = rdDistGeom.ETKDGv3()
    settings.timeout = 5  # type: ignore[assignment]
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        hears_ctrl_c(rdDistGeom.EmbedMultipleConfs, mol, 2, settings)
    assert list(hears_ctrl_c(rdDistGeom.EmbedMultipleConfs, Chem.MolFromSmiles("C"), 2)) == [0, 1]


def test_sigterm_ends_what_ignores_ctrl_c() -> None:
    """As the background job of a script, ``distill run ... &``, does."""
    program = """
import os, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
from distill.stop import listen
listen()
os.kill(os.getpid(), signal.SIGINT)
print("goes on", flush=True)
try:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)
except KeyboardInterrupt:
    print("stopped")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split("\n") == ["goes on", "stopped", ""], done.stderr
