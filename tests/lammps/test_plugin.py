"""Compiling the plugin, or saying why not; that it is right is shown by test_parity.py."""

from pathlib import Path

import pytest

from distill.errors import DistillError
from distill_lammps import plugin


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))


def test_it_is_compiled_once() -> None:
    folder = plugin.plugin_folder()
    made = (folder / plugin.NAME).stat().st_mtime_ns
    assert plugin.plugin_folder() == folder
    assert (folder / plugin.NAME).stat().st_mtime_ns == made


def test_a_lammps_starts_without_it(monkeypatch, capsys) -> None:
    monkeypatch.setattr(plugin, "find_mpi", lambda: None)
    assert plugin.folder_or_sentence() == ""
    assert "needs an MPI compiler (mpicxx): pip install mpich" in capsys.readouterr().err


def test_headers_that_do_not_fit(tmp_path: Path) -> None:
    include = tmp_path / "old" / "include" / "lammps"
    include.mkdir(parents=True)
    (include / "pair.h").write_text("#error too old\n")
    with pytest.raises(DistillError, match="does not compile against .*errors.log says why"):
        plugin.plugin_folder(tmp_path / "old")


def test_no_lammps(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="needs LAMMPS with its headers"):
        plugin.plugin_folder(tmp_path)


def test_no_kernel(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(plugin, "KERNEL", tmp_path / "libdistill.so")
    with pytest.raises(DistillError, match="needs the fused kernel, which was not compiled"):
        plugin.plugin_folder()
