"""What is printed after an export: lines for LAMMPS' input, of this very student."""

import pytest
from typer.testing import CliRunner

from distill.cli import app
from distill.errors import DistillError
from distill.student import Student, StudentConfig, save_student
from distill_lammps.export import export_plugin


@pytest.mark.parametrize("kind", ["lammps", "mliap"])
def test_elements_of_the_student(tmp_path, kind) -> None:
    student = Student(StudentConfig("own", 32, 2, 8, elements=(1, 7, 17)))
    save_student(student, tmp_path / "own.safetensors")
    out = tmp_path / f"a rather long name of a file for {kind}"
    result = CliRunner().invoke(
        app, ["export", str(tmp_path / "own.safetensors"), "-o", str(out), "--format", kind]
    )
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    (line,) = [line for line in lines if line.startswith("pair_coeff * *")]
    assert line == f"pair_coeff * * {out if kind == 'lammps' else ''} H N Cl".replace("  ", " ")
    assert lines[-1].startswith("# these are all that the student knows: give one for each")
    if kind == "lammps":
        assert out.read_bytes().split(b"\n", 3)[2] == b"H N Cl"


def test_a_student_that_the_kernel_does_not_take(tmp_path) -> None:
    """Said when it is exported, not in LAMMPS."""
    save_student(Student(StudentConfig("wide", 528, 1, 4)), tmp_path / "wide.safetensors")
    with pytest.raises(DistillError, match="takes 16 to 512 features"):
        export_plugin(tmp_path / "wide.safetensors", tmp_path / "out")
    assert not (tmp_path / "out").exists()
