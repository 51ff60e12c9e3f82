"""The suite that uses the programs hard: what it calls right and wrong, and that it goes on."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from distill.data.dataset import MoleculeData, TeacherRecord, write

TIMES = "import time, sys; sys.stdin.read(1); print(time.time(), time.monotonic(), flush=True)"


@pytest.fixture(scope="module")
def suite(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("hard_use")


@pytest.fixture
def toy(suite: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three items instead of the real ones, and the list of those that were tried."""
    tried: list[str] = []
    monkeypatch.setattr(suite, "ITEMS", {})
    monkeypatch.setattr(suite, "commit", lambda: "abc1234")

    def item(name: str, trials: list[Any]) -> None:
        def function(place: Any) -> Iterator[Any]:
            tried.append(name)
            for trial in trials[: place.times]:
                if isinstance(trial, Exception):
                    raise trial
                yield trial

        suite.ITEMS[name] = suite.Item(name, f"does {name}", "it works", (3, 1), function)

    item("good", [suite.Trial(), suite.Trial(note="had ended"), suite.Trial()])
    item("bad", [suite.Trial("lost|all"), suite.Trial()])
    item("broken", [suite.Trial(), RuntimeError("no root")])
    return tried


def called(
    suite: ModuleType, monkeypatch: pytest.MonkeyPatch, out: Path, *words: str
) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["hard_use.py", "-o", str(out), *words])
    with pytest.raises(SystemExit) as ended:
        suite.main()
    return ended.value.code


def test_each_result_is_saved_and_not_tried_again(
    suite: ModuleType, toy: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "table.md"
    assert called(suite, monkeypatch, out, "--only", "good") == 0
    assert called(suite, monkeypatch, out) == 1
    assert toy == ["good", "bad", "broken"]
    saved = json.loads(out.with_suffix(".json").read_text())
    assert saved["good"]["right"] == saved["good"]["trials"] == 3
    assert saved["good"]["notes"] == {"as it should": 2, "had ended": 1}
    assert saved["bad"]["problems"] == ["lost|all"]
    # what the trials themselves fail of is no success
    assert saved["broken"]["problems"] == ["not tried: RuntimeError: no root"]
    assert called(suite, monkeypatch, out) == 1
    assert toy == ["good", "bad", "broken"]
    assert called(suite, monkeypatch, out, "--again", "--quick", "--only", "good") == 0
    assert json.loads(out.with_suffix(".json").read_text())["good"]["trials"] == 1
    text = out.read_text()
    assert "| `bad` | does bad | it works | 2 | 1 | as it should: 1; **lost\\|all** |" in text
    assert text.index("`good`") < text.index("`bad`") < text.index("`broken`")
    assert "commit abc1234" in text and "torch" in text


@pytest.mark.parametrize(
    "code, err, problem",
    [
        (2, "The disk of /full/x is full; make room.", ""),
        (2, "labelled 3 of 9 frames\nThe disk of /full/x is full; make room.", ""),
        (1, "The disk of /full/x is full; make room.", "code 1"),
        (2, "The disk of /tmp is full; make room.", "does not name /full/x"),
        (2, "One.\nTwo about /full/x.", "2 lines"),
        (2, "", "does not name"),
        (1, "Traceback (most recent call last):\n  ...\nOSError: /full/x", "traceback: OSError"),
        (-11, "", "SIGSEGV"),
        (None, "", "hangs"),
    ],
)
def test_refusals(suite: ModuleType, code: int | None, err: str, problem: str) -> None:
    programs = sys.modules["hard.programs"]
    found = programs.refusal_problem(programs.Done(code, "", err, 1.0), "/full/x")
    assert problem in found and bool(problem) == bool(found)


def test_children_that_are_left_are_found_and_ended(suite: ModuleType, tmp_path: Path) -> None:
    programs = sys.modules["hard.programs"]
    program = programs.Program(
        ["bash", "-c", "sleep 1000 & setsid sleep 0 & exit 3"], tmp_path / "work"
    )
    assert program.finish().code == 3
    assert program.orphans(patience=0.5) == 1
    assert program.orphans() == 0


def test_labels_that_are_there_twice(suite: ModuleType, tmp_path: Path) -> None:
    work = sys.modules["hard.work"]
    positions = np.zeros((2, 2, 3), dtype=np.float32)
    positions[:, 1, 0] = 0.7, 0.8
    one = MoleculeData(
        "H2", "[H][H]", 0, np.array([1, 1]), positions, np.zeros(2), np.zeros_like(positions),
        np.full(2, 300.0), np.array(["md", "md"], dtype=object), tasks=("a",),
    )  # fmt: skip
    teacher = TeacherRecord("gfn2-xtb", "1", True)
    write(tmp_path / "x.h5", teacher, [one])
    assert len(work.labels(tmp_path / "x.h5")) == 2
    write(tmp_path / "x.h5", teacher, [one])
    with pytest.raises(ValueError, match="twice"):
        work.labels(tmp_path / "x.h5")


def test_mutations_differ_from_the_file(suite: ModuleType, rng: np.random.Generator) -> None:
    readers = sys.modules["hard.readers"]
    data = rng.bytes(10_000)
    found = [readers.mutated(data, rng) for _ in range(200)]
    assert all(one != data for one in found) and len(set(found)) > 190
    lengths = np.array([len(one) for one in found])
    assert (lengths < 9000).any() and (lengths == len(data)).any() and (lengths > len(data)).any()


def test_the_clock_goes_back_and_time_goes_on(suite: ModuleType, tmp_path: Path) -> None:
    clock = sys.modules["hard.clock"]
    library = clock.library(tmp_path)
    environment = {**os.environ, "LD_PRELOAD": str(library), "CLOCK_SET_BACK": f"{tmp_path}/back"}
    program = subprocess.Popen(
        [sys.executable, "-c", f"{TIMES}\n{TIMES}"], env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert program.stdin is not None and program.stdout is not None
    found = []
    for _ in range(2):
        program.stdin.write("x")
        program.stdin.flush()
        found.append([float(word) for word in program.stdout.readline().split()])
        (tmp_path / "back").touch()
    assert program.wait() == 0
    wall, steady = np.diff(found, axis=0)[0]
    assert steady > 0
    assert wall - steady == pytest.approx(-3600, abs=0.5)


@pytest.mark.slow
def test_some_of_it_for_real(tmp_path: Path) -> None:
    program = Path(__file__).parents[2] / "benchmarks" / "hard_use.py"
    items = ("kill-label", "long-openmm", "clock-label")
    words = [word for name in items for word in ("--only", name)]
    done = subprocess.run(
        [sys.executable, program, "-o", tmp_path / "table.md", "--quick", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Problems: none" in done.stdout
    assert set(json.loads((tmp_path / "table.json").read_text())) == set(items)
