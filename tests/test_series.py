"""`distill run` for a series, and with a given number of labels."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import mdtraj
import numpy as np
import pytest
from rich.console import Console

from distill import load_student
from distill.data.dataset import Dataset, MoleculeData, TeacherRecord, write
from distill.data.explore import first_geometries
from distill.data.molecules import from_smiles
from distill.data.sampling import Frame
from distill.errors import DistillError
from distill.evaluate.frames import read_frames
from distill.run import RunFolder, RunSettings, run
from distill.run import folder as folder_module
from distill.run.check import (
    frames_each,
    frames_to_check,
    held_out_check,
    load_frames,
    save_frames,
)
from distill.run.folder import Clock
from distill.run.job import Job
from distill.run.labels import cost, failures, label_files, merge_files, teacher_of
from distill.run.molecules import Series, read_series, safe_names
from distill.run.train import explorers_of, wait_for_labels
from distill.student import Student
from distill.train.grow import Growing

SMI = "O water\nC[NH3+] base/acid\nCO methanol\n"


def series_file(folder: Path, text: str = SMI) -> Path:
    path = folder / "series.smi"
    path.write_text(text)
    return path


# -- settings and folder --------------------------------------------------------------------------
def test_settings() -> None:
    assert RunSettings("C").budget == 600 and RunSettings("C", labels=5).minutes == 10.0
    alone = RunSettings("C", minutes=None, labels=5)
    assert alone.budget == 600 and "5 labels" in alone.limits
    for wrong in ({"labels": 0}, {"minutes": None}, {"minutes": 0.0}):
        with pytest.raises(DistillError):
            RunSettings("C", **wrong)  # type: ignore[arg-type]


def test_a_folder_of_before_there_were_labels_is_gone_on_with(tmp_path: Path) -> None:
    RunFolder(tmp_path / "a", RunSettings("C"))
    file = tmp_path / "a" / "run.json"
    state = json.loads(file.read_text())
    del state["settings"]["labels"]
    file.write_text(json.dumps(state))
    RunFolder(tmp_path / "a", RunSettings("C"))
    with pytest.raises(DistillError, match="labels is None there, 5 here"):
        RunFolder(tmp_path / "a", RunSettings("C", labels=5))


def test_the_clock_stops(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a", RunSettings("C"))
    folder.state["seconds"] = 50.0
    clock = Clock(folder, 600.0)
    with clock.stopped():
        time.sleep(0.5)
    assert 50.0 <= clock.spent() < 50.45 and clock.waited >= 0.5
    assert json.loads(folder.file.read_text())["waited"] >= 0.5


def test_the_clock_writes_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop may ask it at every turn; marks, and what is written by others, tell the time."""
    written: list[float] = []
    whole = folder_module.write_json

    def counted(path: Path, value: dict[str, Any]) -> None:
        written.append(value["seconds"])
        whole(path, value)

    folder = RunFolder(tmp_path / "a", RunSettings("C"))
    monkeypatch.setattr(folder_module, "write_json", counted)
    clock = Clock(folder, 600.0)
    found = [clock.spent() for _ in range(100)]
    assert found == sorted(found) and found[-1] > 0 and not written
    clock.written -= folder_module.WRITE_EVERY
    clock.spent(), clock.spent()
    assert len(written) == 1
    clock.started -= 100.0
    folder.mark("done")
    assert json.loads(folder.file.read_text())["seconds"] >= 100.0
    again = Clock(RunFolder(tmp_path / "a", RunSettings("C")), 600.0)
    assert again.spent() >= 100.0


def test_a_clock_that_stands_stands(tmp_path: Path) -> None:
    clock = Clock(RunFolder(tmp_path / "a", RunSettings("C")), 600.0)
    with clock.stopped():
        before = clock.spent()
        with clock.stopped():
            time.sleep(0.1)
        time.sleep(0.1)
        assert clock.spent() == before
    assert clock.waited >= 0.2
    time.sleep(0.01)
    assert clock.spent() > before


def test_a_file_by_another_of_its_names_is_the_same_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs of before the command line made them absolute are gone on with."""
    monkeypatch.chdir(tmp_path)
    source = series_file(tmp_path)
    RunFolder(tmp_path / "a", RunSettings(source.name))
    RunFolder(tmp_path / "a", RunSettings(str(source)))
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    with pytest.raises(DistillError, match="holds another run"):
        RunFolder(tmp_path / "a", RunSettings(str(source)))


# -- molecules ------------------------------------------------------------------------------------
def test_names_for_folders() -> None:
    names = ["a/b", "A b", "a_b", "", "..", "work", "CC(=O)O", "x" * 200, "x" * 199]
    found = safe_names(names)
    assert len({name.lower() for name in found}) == len(names)
    assert all(name.replace("_", "").replace("-", "").isalnum() for name in found)
    assert found[:3] == ["a_b", "A_b-2", "a_b-3"]
    assert "work" not in found and max(map(len, found)) < 70


def test_a_series_is_read(tmp_path: Path) -> None:
    student = Student.untrained("ultra-tiny")
    series = read_series(RunSettings(str(series_file(tmp_path))), student)
    assert [m.name for m in series.molecules] == ["water", "base_acid", "methanol"]
    assert series.folder(series.molecules[1], tmp_path) == tmp_path / "base_acid"
    alone = Series(series.molecules[:1])
    assert alone.folder(alone.molecules[0], tmp_path) == tmp_path


def test_all_bad_molecules_are_named(tmp_path: Path) -> None:
    source = series_file(tmp_path, SMI + "C[Si](C)C silane\nnonsense x\n")
    student = Student.untrained("ultra-tiny")
    with pytest.raises(DistillError) as caught:
        read_series(RunSettings(str(source)), student)
    assert "silane" in str(caught.value) and "nonsense" in str(caught.value)
    assert "--skip-bad" in str(caught.value)
    series = read_series(RunSettings(str(source)), student, skip_bad=True)
    assert len(series.molecules) == 3
    assert "silane" in series.notes[0] and "nonsense" in series.notes[0]


# -- labels ---------------------------------------------------------------------------------------
def test_explorers_share_what_is_still_to_be_labelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three left some labels behind, of which one geometry failed; then there are two."""
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    methanol = from_smiles("CO")
    settings = RunSettings("CO", labels=20)
    folder = RunFolder(tmp_path / "run", settings)
    for k, count in enumerate((4, 5, 2)):
        x = np.random.default_rng(k).normal(size=(count, 6, 3))
        write(
            folder.path / "work" / f"labels-{k}.h5",
            TeacherRecord("gfn2-xtb", "tblite", True),
            [MoleculeData("CO", "CO", 0, methanol.numbers, x, x[:, 0, 0], x, x[:, 0, 0],
                          np.full(count, "none", dtype=object),
                          failed_positions=x[:1], failed_reason=("no",))],
        )  # fmt: skip
    student = Student.untrained("ultra-tiny")
    data = Growing(lambda: label_files(folder), student)
    job = Job(settings, Series((methanol,)), folder, Clock(folder, 600.0), print, Console(), 3)
    data.poll()
    found = explorers_of(job, data, tmp_path / "none")
    assert [one.labels for one in found] == [4 + 5, 5 + 4]  # 9 are left
    assert [one.given for one in found] == [True, False]
    done = replace(job, settings=replace(settings, labels=11))
    assert explorers_of(done, data, tmp_path / "none") == []


class Busy:
    """Explorers that never come to a label; they end when asked so many times."""

    def __init__(self, times: int) -> None:
        self.left = times

    def alive(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def check(self) -> None:
        """They are well."""


def waiting(folder: Path, minutes: float | None, say: Any = print) -> tuple[Job, Growing]:
    """A run that has no label yet."""
    settings = RunSettings("CO", minutes=minutes, labels=5)
    run_folder = RunFolder(folder / "run", settings)
    clock = Clock(run_folder, settings.budget)
    series = Series((from_smiles("CO"),))
    job = Job(settings, series, run_folder, clock, say, Console(quiet=True), 1)
    return job, Growing(lambda: label_files(run_folder), Student.untrained("ultra-tiny"))


def test_a_first_label_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    job, data = waiting(tmp_path, 10.0)
    running: Any = Busy(10**9)
    job.clock.started -= 0.61 * job.clock.budget
    with pytest.raises(DistillError, match="No label has come in 6.1 min.*larger --budget"):
        wait_for_labels(job, data, running)


def test_who_waits_as_long_as_it_takes_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distill.run.train.SILENT", -1.0)
    said: list[str] = []
    job, data = waiting(tmp_path, None, said.append)
    running: Any = Busy(2)
    with pytest.raises(DistillError, match="ended without a label"):
        wait_for_labels(job, data, running)
    assert len([line for line in said if "time-limit" in line]) == 1


def test_a_file_of_failures_alone_ends_no_run(tmp_path: Path) -> None:
    """The first explorer's; the other has labels, of one molecule of two."""
    work = tmp_path / "work"
    work.mkdir()
    pair = [from_smiles("O"), from_smiles("CO")]
    record = TeacherRecord("gfn2-xtb", "tblite", True)
    for k, good, failed in ((0, 0, 2), (1, 7, 1)):
        found = []
        for molecule in pair[: 2 - k]:
            x = np.random.default_rng(k).normal(size=(good + failed, len(molecule), 3))
            found.append(
                MoleculeData(
                    molecule.name, molecule.smiles or "", 0, molecule.numbers, x[:good],
                    np.zeros(good), x[:good], np.zeros(good), np.full(good, "none", dtype=object),
                    stress=np.zeros((good, 3, 3)) if good else None,
                    failed_positions=x[good:], failed_reason=("no",) * failed,
                    seconds=np.full(good, 2.0),
                )
            )  # fmt: skip
        write(work / f"labels-{k}.h5", record, found)
    files = sorted(work.glob("labels-*.h5"))
    data = Growing(lambda: files, Student.untrained("ultra-tiny"))
    assert data.poll() == 7 and data.molecules == {pair[0].name: 7, pair[1].name: 0}
    assert data.seconds_each == 2.0
    assert merge_files(files, tmp_path / "dataset.h5") == teacher_of(files) == record
    assert len(read_frames(tmp_path / "dataset.h5")) == 7
    with Dataset.open(tmp_path / "dataset.h5") as dataset:
        assert cost(dataset) == (7, 2.0) and dataset.failures == 5
        stress = dataset[pair[0].name].stress
        assert stress is not None and len(stress) == 7


# -- the check ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("molecules", "labels", "seconds", "wanted", "expected"),
    [
        (1, 5000, 0.05, None, [48]),
        (1, 100, 3.0, None, [10]),
        (1, 25, 20.0, 25, [3]),
        (1, 100, 0.01, 100, [20]),
        (1, 10, float("nan"), None, [48]),
        (6, 60, 20.0, None, [1] * 6),
        (50, 60, 20.0, None, [1] * 50),
        (6, 25, 20.0, 25, [1] * 6),  # a little more than a fifth
        (50, 5, 20.0, 5, [1] * 3 + [0] * 47),
        (50, 60, 10.0, 60, [1] * 6 + [0] * 44),
        (50, 60, 0.1, 60, [1] * 12 + [0] * 38),
        (1, 1, 20.0, 1, [3]),
        (2, 300, 1.0, None, [15, 15]),
    ],
)
def test_how_many_frames_to_check_on(
    molecules: int, labels: int, seconds: float, wanted: int | None, expected: list[int]
) -> None:
    assert frames_each(molecules, labels, seconds, wanted) == expected


def test_frames_are_kept(tmp_path: Path) -> None:
    frames = [
        [Frame(np.full((n, 3), float(k)), "student-md", 300.0) for k in range(count)]
        for n, count in ((3, 2), (5, 0), (4, 1))
    ]
    save_frames(tmp_path / "check.npz", frames)
    found = load_frames(tmp_path / "check.npz")
    assert [len(some) for some in found] == [2, 0, 1]
    np.testing.assert_array_equal(found[2][0].positions, frames[2][0].positions)
    assert found[0][1].source == "student-md" and found[0][1].temperature == 300.0


@pytest.mark.parametrize("minutes", [None, 1.0])
def test_the_labels_of_the_check_wait_as_the_others_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: float | None
) -> None:
    water = from_smiles("O")
    folder = RunFolder(tmp_path / "run", RunSettings("O", minutes=minutes, labels=5))
    clock = Clock(folder, 600.0)
    settings = RunSettings("O", minutes=minutes, labels=5)
    job = Job(settings, Series((water,)), folder, clock, print, Console(quiet=True), 1)
    frames = [[Frame(first_geometries(water, 1, 0)[0], "student-md", 300.0)]]
    save_frames(folder.path / "work" / "check.npz", frames)
    monkeypatch.setattr("distill.run.check.label", lambda *_, **__: time.sleep(0.3))
    monkeypatch.setattr("distill.run.check.evaluate", lambda *_, **__: None)
    held_out_check(job, Student.untrained("ultra-tiny"))
    assert (clock.waited >= 0.3) == (minutes is None)


def test_molecules_that_are_not_checked_are_named(tmp_path: Path) -> None:
    """Where labels are fewer than molecules."""
    series = Series(tuple(from_smiles(smiles) for smiles in ("O", "CO", "N", "C")))
    settings = RunSettings("series.smi", minutes=None, labels=4)
    folder = RunFolder(tmp_path / "run", settings)
    one = series.molecules[0]
    x = np.zeros((1, 3, 3))
    write(
        folder.path / "dataset.h5",
        TeacherRecord("gfn2-xtb", "tblite", True),
        [MoleculeData(one.name, "O", 0, one.numbers, x, np.zeros(1), x, np.zeros(1),
                      np.array(["none"], dtype=object), seconds=np.array([20.0]))],
    )  # fmt: skip
    said: list[str] = []
    clock = Clock(folder, 600.0)
    job = Job(settings, series, folder, clock, said.append, Console(quiet=True), 1)
    found = frames_to_check(job, load_student("ultra-tiny"))
    assert [len(some) for some in found] == [1, 1, 1, 0]
    assert len(said) == 1 and series.molecules[3].name in said[0]


# -- all of it ------------------------------------------------------------------------------------
def check_series(out: Path, labels: int) -> dict[str, Any]:
    """The folder of a finished series of SMI."""
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    names = ["water", "base_acid", "methanol"]
    assert [one["name"] for one in report["molecules"]] == names
    assert [one["charge"] for one in report["molecules"]] == [0, 1, 0]
    assert [one["atoms"] for one in report["molecules"]] == [3, 8, 6]
    with Dataset.open(out / "dataset.h5") as dataset:
        assert sorted(dataset.molecules) == sorted(names)
        counts = {name: len(dataset[name]) for name in names}
    assert {one["name"]: one["labels"] for one in report["molecules"]} == counts
    assert report["labels"] == sum(counts.values()) >= labels and min(counts.values()) > 0
    assert report["seconds_per_label"] > 0
    total = sum(one["frames"] for one in report["molecules"])
    assert report["n_frames"] == total
    mean = [one["frames"] * one["atoms"] * one["force_rmse"] ** 2 for one in report["molecules"]]
    assert report["force_rmse"] ** 2 * report["n_atoms"] == pytest.approx(sum(mean))
    for one in report["molecules"]:
        folder = out / one["folder"]
        trajectory = mdtraj.load(folder / "trajectory.dcd", top=str(folder / "topology.pdb"))
        assert trajectory.n_atoms == one["atoms"] and one["md"]["steps"] > 0
        assert (folder / "md.csv").is_file()
    student = load_student(out / "student.safetensors")
    assert student.card["charges"] == [0, 1]
    assert student.card["training_set"]["molecules"] == ["O", "C[NH3+]", "CO"]
    assert student.card["held_out"]["force_rmse"] == report["force_rmse"]
    test = {frame.positions.tobytes() for frame in read_frames(out / "test.h5")}
    assert not test & {frame.positions.tobytes() for frame in read_frames(out / "dataset.h5")}
    return report


@pytest.mark.slow
def test_a_series(tmp_path: Path) -> None:
    """In half a minute; given again, and stopped in its MD, it goes on where it was."""
    settings = RunSettings(str(series_file(tmp_path)), size="ultra-tiny", minutes=0.5)
    out = tmp_path / "out"
    run(settings, out, console=Console(quiet=True), workers=2)
    report = check_series(out, 40)
    assert report["force_rmse"] < 0.2
    state = json.loads((out / "run.json").read_text())
    del state["done"], state["md"]["methanol"]
    (out / "run.json").write_text(json.dumps(state))
    (out / "methanol" / "trajectory.dcd").unlink()
    run(settings, out, console=Console(quiet=True), workers=2)
    again = check_series(out, 40)
    assert again["molecules"][0] == report["molecules"][0]
    assert again["force_rmse"] == report["force_rmse"]


@pytest.mark.slow
def test_so_many_labels_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a budget: all labels first, by three explorers, then the rest."""
    monkeypatch.setattr("distill.run.settings.MINUTES", 0.2)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    settings = RunSettings("CO", size="ultra-tiny", minutes=None, labels=31, teacher="gfn1-xtb")
    out = tmp_path / "out"
    run(settings, out, console=Console(quiet=True), workers=4)
    report = json.loads((out / "report.json").read_text())
    assert report["labels"] == 31 and report["n_frames"] == 6
    assert "31 of 31 labels" in (out / "run.log").read_text()
    with Dataset.open(out / "dataset.h5") as dataset:
        assert len(dataset["CO"]) == 31
        # no force field: the shipped student walks, whoever taught it
        assert set(dataset["CO"].source) <= {"student-md", "displaced"}
    student = load_student(out / "student.safetensors")
    assert student.card["teacher"]["name"] == "gfn1-xtb"
    assert student.card["training_set"]["geometries"] == 31
    assert report["md"]["steps"] > 0 and report["run"]["waited"] > 0


def test_the_series_of_one_has_no_folder() -> None:
    assert Series((from_smiles("CO"),)).name == "CO"


def test_failures_of_the_teacher_are_counted(tmp_path: Path) -> None:
    failing = MoleculeData(
        "CO", "CO", 0, np.array([6, 8]), np.zeros((0, 2, 3)), np.zeros(0), np.zeros((0, 2, 3)),
        np.zeros(0), np.zeros(0, dtype=object), failed_positions=np.zeros((3, 2, 3)),
        failed_reason=("no memory", "no convergence", "no convergence"),
    )  # fmt: skip
    write(tmp_path / "labels-0.h5", TeacherRecord("t", "1", True), [failing])
    assert failures([tmp_path / "labels-0.h5"]) == (3, "no convergence")
    assert failures([]) == (0, "")
