"""``distill export``, ``quantize`` and ``bench`` with arguments that make no sense."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from distill.cli import app
from distill.student.file import student_path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(student_path("ultra-tiny"), "mine.safetensors")
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "other.onnx").write_bytes(b"onnx")
    (tmp_path / "dangling").symlink_to("nowhere")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("export mine.safetensors --format xyz -o a", "Unknown format 'xyz'"),
        ("export mine.safetensors --dtype float16 -o a", "--dtype is 'float16'"),
        ("export mine.safetensors -o mine.safetensors --force", "is what is read"),
        ("export mine.safetensors -o folder/../mine.safetensors --force", "is what is read"),
        ("export mine.safetensors -o folder", "is a folder; give a file"),
        ("export mine.safetensors -o text.txt/a.pt", "is a file; give another place"),
        ("export mine.safetensors -o /sys/a.pt", "Nothing can be written to /sys"),
        ("export mine.safetensors -o dangling/a.pt", "is a file; give another place"),
        ("export mine.safetensors --format aoti -o a.xyz", "must be named .pt2, not a.xyz"),
        ("export folder -o a.pt", "is a folder"),
        ("export other.onnx -o a.pt", "is an ONNX file"),
        ("export text.txt -o a.pt", "not a safetensors file"),
        ("quantize mine.safetensors -o mine.safetensors --force", "is what is read"),
        ("quantize mine.safetensors -o /sys/a.safetensors", "Nothing can be written"),
        ("quantize mine.safetensors -o a.onnx --calibrate text.txt", "neither a dataset"),
        ("quantize other.onnx -o a.safetensors", "is an ONNX file"),
        ("info folder", "is a folder"),
        ("info other.onnx", "is an ONNX file"),
        ("bench -o b.json --seconds nan", "--seconds is nan"),
        ("bench -o b.json --seconds -1", "--seconds is -1"),
        ("bench -o b.json --atoms 0", "--atoms is '0'"),
        ("bench -o b.png", "would be the picture's"),
        ("bench -o /sys/b.json", "Nothing can be written"),
    ],
)
def test_one_sentence(folder: Path, command: str, words: str) -> None:
    before = {path: path.read_bytes() for path in folder.glob("*.*")}
    result = CliRunner().invoke(app, command.split(), env={"COLUMNS": "400"})
    assert result.exit_code == 2, result.output
    assert words in result.output and "Traceback" not in result.output
    assert before == {path: path.read_bytes() for path in folder.glob("*.*")}
