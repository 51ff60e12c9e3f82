"""What is said of the teacher's own error, beside a student's error to it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from distill.cli import app
from distill.teacher.worth import agreement, teacher_of, worth


@pytest.mark.parametrize(
    ("teacher", "said"),
    [
        ("gfn2-xtb", "0.25 eV/Å off DFT"),
        ("gfn1-xtb", "0.22 eV/Å off DFT"),
        ("pyscf:r2scan-d4/def2-svp", "as good as its functional and basis set"),
        ("ase:mace.calculators:mace_off", "was not measured here"),
        ("own labels", "is not known here"),
        (None, "not recorded"),
    ],
)
def test_each_teacher_has_its_sentence(teacher: str | None, said: str) -> None:
    assert said in worth(teacher)
    assert agreement(teacher).startswith("Errors are to the teacher, not to nature.")


def test_the_name_in_a_card() -> None:
    assert teacher_of({"teacher": {"name": "gfn2-xtb"}}) == "gfn2-xtb"
    assert teacher_of({}) is None
    assert teacher_of({"teacher": {"name": ""}}) is None


def test_the_commands_say_whom_they_agree_with(tmp_path: Path) -> None:
    found = json.loads(CliRunner().invoke(app, ["info", "tiny", "--json"]).stdout)
    assert "Errors are to the teacher" in found["agreement"]
    shown = " ".join(CliRunner().invoke(app, ["info", "tiny"]).stdout.split())
    assert "Errors are to the teacher" in shown and "0.25 eV/Å off DFT" in shown
    frame = (
        "3\nProperties=species:S:1:pos:R:3:forces:R:3 energy=-138.0\n"
        "O 0 0 0.119 0 0 0.1\nH 0 0.763 -0.477 0 0.2 0\nH 0 -0.763 -0.477 0 -0.2 -0.1\n"
    )
    data = tmp_path / "mine.xyz"
    data.write_text(frame)
    result = CliRunner().invoke(app, ["evaluate", "tiny", str(data), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    told = "Errors are to the labels, not to nature. The student's teacher: gfn2-xtb itself is"
    assert told in result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert told in report["agreement"]
    assert report["agreement"] in (tmp_path / "out" / "analysis.log").read_text()
