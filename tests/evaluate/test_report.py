import json
import resource
from dataclasses import replace

import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from distill.errors import DistillError
from distill.evaluate import evaluate, predict, read_frames
from distill.student import Student

FILES = {"report.json", "force_analysis.png", "force_analysis.svg", "analysis.log"}
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def student():
    return Student.untrained("ultra-tiny")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    images = []
    for name in ("CH3OH", "CH3OH", "H2O"):
        atoms = ase.build.molecule(name)
        atoms.rattle(0.05, rng=RNG)
        atoms.calc = SinglePointCalculator(
            atoms, energy=-1.0, forces=RNG.normal(size=(len(atoms), 3))
        )
        images.append(atoms)
    path = tmp_path_factory.mktemp("data") / "frames.xyz"
    ase.io.write(path, images, format="extxyz")
    return path


def strict_json(path):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_report(student, data, tmp_path):
    report = evaluate(student, data, tmp_path / "new" / "out", name="mine", progress=False)
    out = tmp_path / "new" / "out"
    assert {file.name for file in out.iterdir()} == FILES
    assert strict_json(out / "report.json") == report

    p = predict(student, read_frames(data), progress=False)
    error = p.forces_pred - p.forces_ref
    assert report["force_rmse"] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert report["force_mae"] == pytest.approx(np.abs(error).mean())
    assert report["energy_mae_per_atom"] == pytest.approx(
        (np.abs(p.energy_pred - p.energy_ref) / p.n_atoms).mean()
    )
    assert report["configuration"]["student"] == "mine"
    assert report["configuration"]["parameters"] <= 21_459
    assert report["versions"]["torch"]

    log = (out / "analysis.log").read_text(encoding="utf-8")
    for words in ("force RMSE", f"{report['force_rmse']:.6g}", "H2O", "By element", "torch", "cpu"):
        assert words in log


def test_one_atom_report_has_nulls(student, tmp_path):
    (tmp_path / "a.xyz").write_text(
        "1\nProperties=species:S:1:pos:R:3:forces:R:3 energy=1.0\nH 0 0 0 0 0 0\n"
    )
    report = evaluate(student, tmp_path / "a.xyz", tmp_path / "out", progress=False)
    assert strict_json(tmp_path / "out" / "report.json")["angular_error_deg"] is None
    assert report["force_r2"] is None and report["force_rmse"] == 0.0


def test_an_old_report_is_kept(student, data, tmp_path):
    (tmp_path / "report.json").write_text("mine")
    with pytest.raises(DistillError, match=r"already holds report\.json"):
        evaluate(student, data, tmp_path, progress=False)
    assert {file.name for file in tmp_path.iterdir()} == {"report.json"}
    evaluate(student, data, tmp_path, overwrite=True, progress=False)
    assert "force_rmse" in strict_json(tmp_path / "report.json")


def test_a_file_is_no_folder(student, data, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(DistillError, match="is a file"):
        evaluate(student, data, tmp_path / "out", progress=False)


def test_bad_data_leaves_nothing(student, tmp_path):
    with pytest.raises(DistillError):
        evaluate(student, tmp_path / "none.xyz", tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_disk_that_fills_leaves_no_half_report(student, data, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(DistillError, match="cannot be written"):
            evaluate(student, data, tmp_path / "out", progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "out").iterdir())


def test_labels_in_another_unit_are_told(student, data, tmp_path):
    frames = read_frames(data)
    p = predict(student, frames, progress=False)
    forces = np.split(p.forces_pred, np.cumsum(p.n_atoms)[:-1])
    wrong = [replace(f, forces=g / 51.422, energy=0.0) for f, g in zip(frames, forces)]
    report = evaluate(student, wrong, tmp_path / "au", progress=False)
    (hint,) = strict_json(tmp_path / "au" / "report.json")["hints"]
    assert "hartree/bohr" in hint and report["force_r2"] < -1 and report["angular_error_deg"] < 5
    log = (tmp_path / "au" / "analysis.log").read_text(encoding="utf-8")
    assert f"BEWARE: {hint}" in log
    right = [replace(f, forces=g) for f, g in zip(frames, forces)]
    assert evaluate(student, right, tmp_path / "ev", progress=False)["hints"] == []


def test_a_figure_that_fails_does_not_cost_the_report(student, data, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no font")

    evaluate(student, data, tmp_path, progress=False)
    monkeypatch.setattr("distill.evaluate.report.force_analysis", broken)
    report = evaluate(student, data, tmp_path, overwrite=True, progress=False)
    assert report["hints"] == ["No figure could be drawn: no font"]
    assert {file.name for file in tmp_path.iterdir()} == {"report.json", "analysis.log"} | (
        {data.name} if data.parent == tmp_path else set()
    )
