"""Files appear whole or not at all, and a disk that refuses is named."""

import errno
import os
from pathlib import Path

import pytest

from distill.errors import DistillError
from distill.seal import intact, seal
from distill.whole import check_writable, disk_errors, disk_problem, sweep, whole_file
from tests.small_disk import files_of_at_most


def test_what_was_there_stays_when_the_disk_refuses(tmp_path: Path) -> None:
    path = tmp_path / "result.bin"
    with whole_file(path) as place:
        place.write_bytes(b"first")
    with (
        files_of_at_most(100),
        pytest.raises(DistillError, match=rf"Cannot write {path}: File too large; make room"),
        whole_file(path) as place,
    ):
        place.write_bytes(bytes(1000))
    assert path.read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["result.bin"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_the_disk_has_is_what_takes_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("sync"), fsync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("rename"), replace(a, b))[1])
    with whole_file(tmp_path / "a") as place:
        place.write_text("x")
        assert place.parent.parent == tmp_path  # on the same disk
    assert order == ["sync", "rename", "sync"]


def test_errors_of_other_kinds_and_disks_pass(tmp_path: Path) -> None:
    for error in (
        ValueError("no"),
        FileNotFoundError(errno.ENOENT, "No such file", "g++"),
        OSError(errno.ENOSPC, "No space left on device", "/elsewhere/cache"),
    ):
        with pytest.raises(type(error)), disk_errors(tmp_path / "a"):
            raise error
    for error in (
        RuntimeError("I/O error: No space left on device (os error 28)"),
        PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "a")),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
    ):
        with pytest.raises(DistillError, match="Cannot write"), disk_errors(tmp_path / "a"):
            raise error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(28, "No space left on device", "/data/x"), "full (/data/x)"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "full"),
        (OSError(122, "Disk quota exceeded"), "full"),
        (OSError(36, "File name too long", "n" * 300), "too long for a file (nnn"),
        (PermissionError(13, "Permission denied", "/mnt/x"), "not allowed (/mnt/x)"),
        (FileNotFoundError(2, "No such file", "x"), None),
        (ValueError("no"), None),
    ],
)
def test_disk_problems(error: Exception, expected: str | None) -> None:
    sentence = disk_problem(error)
    assert sentence is None if expected is None else expected in str(sentence)


def test_leftovers_of_a_kill_are_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".last.abc").mkdir()
    (tmp_path / ".last.abc" / "last.ckpt").write_bytes(b"half")
    (tmp_path / ".last.mine").mkdir()
    (tmp_path / ".last.mine" / "thesis.tex").write_text("chapter one")
    (tmp_path / ".last.best.abc").mkdir()  # of another file, last.best.ckpt
    (tmp_path / ".[2H]O.abc").mkdir()
    sweep(tmp_path / "last.ckpt")
    sweep(tmp_path / "[2H]O.h5")
    sweep(tmp_path / "nowhere" / "last.ckpt")
    assert {p.name for p in tmp_path.iterdir()} == {".last.mine", ".last.best.abc"}


def test_a_place_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    check_writable(tmp_path / "new" / "er")
    check_writable(tmp_path / "file")
    with pytest.raises(DistillError, match="file is a file"):
        check_writable(tmp_path / "file" / "out")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DistillError, match="dangling is a file"):
        check_writable(tmp_path / "dangling" / "out")

    def read_only(**_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    with pytest.raises(DistillError, match="Read-only file system"):
        check_writable(tmp_path / "new")


def test_seals(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)))
    assert intact(path)
    seal(path)
    content = path.read_bytes()
    assert intact(path) and content.startswith(bytes(range(256)))
    for k in (0, 100, 255, len(content) - 1):
        changed = bytearray(content)
        changed[k] ^= 4
        path.write_bytes(changed)
        assert not intact(path)
    for cut in (1, 7, 15):
        path.write_bytes(content[:-cut])
        assert not intact(path)
