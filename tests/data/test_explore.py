"""Explorers: what ends them, and what they finish before."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.data import explore
from distill.data.dataset import Dataset, MoleculeData, TeacherRecord, write
from distill.data.explore import Explorer, Explorers
from distill.data.molecules import Molecule, from_smiles
from distill.data.walk import walk
from distill.errors import DistillError
from distill.teacher.base import TeacherSpec

SLOW = """
import os, time
from ase.calculators.emt import EMT

class Slow(EMT):
    def calculate(self, *args, **kwargs):
        open(os.path.join({folder!r}, f"begun-{{time.monotonic_ns()}}"), "w").close()
        time.sleep(6.0)
        super().calculate(*args, **kwargs)
"""


def explorer(folder: Path, *smiles: str, **more: Any) -> Explorer:
    molecules = [from_smiles(one) for one in smiles]
    return Explorer(molecules, TeacherSpec(), folder / "none", folder / "labels-0.h5", 0, **more)


def labels(path: Path, molecule: Molecule, seconds: list[float], failed: int = 0) -> None:
    """A file of labels that took so long."""
    count, n = len(seconds), len(molecule)
    x = np.random.default_rng(count).normal(size=(count + failed, n, 3))
    write(
        path,
        TeacherRecord("gfn2-xtb", "tblite", True),
        [
            MoleculeData(
                molecule.name, molecule.smiles or "", 0, molecule.numbers, x[:count],
                np.zeros(count), x[:count], np.zeros(count), np.full(count, "none", dtype=object),
                failed_positions=x[count:] if failed else None,
                failed_reason=("no",) * failed,
                seconds=np.array(seconds),
            )
        ],
    )  # fmt: skip


# -- what cannot be labelled ----------------------------------------------------------------------
def broken(names: set[str], error: Exception) -> Callable[..., Any]:
    """A walk that raises on molecules of these names."""

    def found(molecule: Molecule, *args: Any) -> Any:
        if molecule.name in names:
            raise error
        return walk(molecule, *args)

    return found


@pytest.mark.parametrize("error", [DistillError("no start"), RuntimeError("Bad Conformer Id")])
def test_one_bad_molecule_does_not_end_a_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Not even as the first of all, where nothing is on record yet."""
    one = explorer(tmp_path, "O", "CO", labels=3)
    monkeypatch.setattr(explore, "walk", broken({one.molecules[0].name}, error))
    one.explore(lambda: False)
    with Dataset.open(one.dataset) as dataset:
        assert dataset.molecules == [one.molecules[1].name] and dataset.frames == 3


def test_a_series_of_bad_molecules_ends_after_one_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = explorer(tmp_path, "O", "CO", "CCO")
    monkeypatch.setattr(
        explore, "walk", broken({m.name for m in one.molecules}, DistillError("no start"))
    )
    turns: list[int] = []
    with pytest.raises(DistillError, match="no start"):
        one.explore(lambda: turns.append(1) or False)  # type: ignore[func-returns-value]
    assert len(turns) <= 6  # each is looked at twice: before a batch and within


def test_no_label_is_begun_when_told_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told while it makes the geometry."""
    told: list[int] = []

    def walking(*args: Any) -> Any:
        told.append(1)
        return walk(*args)

    monkeypatch.setattr(explore, "walk", walking)
    one = explorer(tmp_path, "O")
    one.explore(lambda: bool(told))
    assert told == [1] and one.files() == []


# -- files of failures ----------------------------------------------------------------------------
def test_a_file_of_failures_alone_is_read(tmp_path: Path) -> None:
    one = explorer(tmp_path, "O", "CO")
    labels(one.dataset, one.molecules[0], [], failed=2)
    assert one.count() == (0, 2) and one.usual_seconds() == 0.0
    assert [standing.tried for standing in one.standings()] == [2, 0]


# -- the end --------------------------------------------------------------------------------------
def test_what_a_label_takes(tmp_path: Path) -> None:
    one = explorer(tmp_path, "O", "CO")
    labels(one.dataset, one.molecules[0], [1.0, 2.0, 3.0])
    labels(one.dataset, one.molecules[1], [7.0, 8.0, 3600.0, float("nan"), 9.0])
    assert one.usual_seconds() == pytest.approx(8.5)


def test_how_long_a_label_is_waited_for(tmp_path: Path) -> None:
    one = explorer(tmp_path, "O")
    running = Explorers([one, explorer(tmp_path / "other", "O")])
    running.ask_to_stop()
    assert running.patience() == explore.PATIENCE  # nobody knows what a label takes
    labels(one.dataset, one.molecules[0], [200.0])
    assert running.patience() == pytest.approx(300.0, abs=10.0)
    running.asked = time.monotonic() - 250.0  # that long it has been under way already
    assert running.patience() == pytest.approx(50.0, abs=10.0)
    running.asked -= 1000.0
    assert running.patience() == explore.PATIENCE
    running.asked = time.monotonic()
    running.ask_to_stop(at_most=20.0)
    assert running.patience() == pytest.approx(20.0, abs=10.0)
    running.asked -= 30.0
    assert running.patience() == 0.0
    running.stop()  # none was started
    running.check()  # that they ended is no surprise


@pytest.mark.slow
def test_the_label_under_way_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer than explorers that do nothing are waited for, and is the last."""
    (tmp_path / "slow_teacher.py").write_text(SLOW.format(folder=str(tmp_path)))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(explore, "PATIENCE", 1.0)
    spec = TeacherSpec("ase:slow_teacher:Slow")
    one = Explorer([from_smiles("CO")], spec, tmp_path / "none", tmp_path / "labels-0.h5", 0)
    with Explorers([one]) as running:
        while len(list(tmp_path.glob("begun-*"))) < 2:
            running.check()
            time.sleep(0.1)
        running.ask_to_stop()
        assert running.alive() and one.count() == (1, 0)
    assert one.count() == (2, 0) and not running.alive()
    assert len(list(tmp_path.glob("begun-*"))) == 2
