"""Finding what LAMMPS is built from and with; the build itself is what every other test runs on."""

import tarfile
from pathlib import Path

import pytest

from distill.errors import DistillError
from distill_lammps import build as building
from distill_lammps import source
from distill_lammps.environment import for_shell


def fake_tree(folder: Path) -> Path:
    (folder / "cmake").mkdir(parents=True)
    (folder / "cmake" / "CMakeLists.txt").write_text("")
    (folder / "src" / "ML-IAP").mkdir(parents=True)
    (folder / "src" / "ML-IAP" / "mliap_unified.cpp").write_text("")
    (folder / "src" / "version.h").write_text('#define LAMMPS_VERSION "4 Feb 2025"\n')
    return folder


def test_source_from_a_folder_or_an_archive(tmp_path: Path) -> None:
    tree = fake_tree(tmp_path / "lammps-4Feb2025")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert source.version(source.unpack(tree, tmp_path / "a")) == "4Feb2025"
    with tarfile.open(tmp_path / "lammps.tar.gz", "w:gz") as archive:
        archive.add(tree, "lammps-4Feb2025")
    assert source.version(source.unpack(tmp_path / "lammps.tar.gz", tmp_path / "b")) == "4Feb2025"


def test_bad_sources(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="There is no .*nothing"):
        source.unpack(tmp_path / "nothing", tmp_path)
    (tmp_path / "half.tar.xz").write_bytes(b"\xfd7zXZ\x00 and then nothing")
    with pytest.raises(DistillError, match="not a whole archive"):
        source.unpack(tmp_path / "half.tar.xz", tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "new").mkdir()
    with pytest.raises(DistillError, match="not a LAMMPS source tree"):
        source.unpack(tmp_path / "other", tmp_path / "new")


@pytest.mark.parametrize(
    ("file", "text", "mirror"),
    [
        ("sources.list", "deb [arch=amd64] http://a.example/debian bookworm main\n", "http://a.example/debian"),
        ("sources.list.d/x.sources", "Types: deb\nURIs: http://b.example/debian/\n", "http://b.example/debian/"),
        ("sources.list", "deb http://c.example/ubuntu noble main\n", None),
        ("sources.list.d/y.list", "# deb http://d.example/debian x main\n", None),
    ],
)  # fmt: skip
def test_the_mirror_of_this_machine(tmp_path, monkeypatch, file, text, mirror) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    monkeypatch.setenv("DISTILL_APT", str(tmp_path))
    assert source.debian_mirror() == mirror
    if mirror is None:
        with pytest.raises(DistillError, match="this is no Debian; download LAMMPS' source"):
            source.debian_archive(tmp_path)


def test_missing_tools_are_named(monkeypatch) -> None:
    monkeypatch.setattr(building, "search_path", lambda: "")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DistillError, match="without cmake, ninja, cythonize, MPI .*pip install"):
        building.find_tools()


def test_patch(tmp_path: Path) -> None:
    """Only lines about the array that ACE reads are left to ACE."""
    tree = fake_tree(tmp_path / "lammps")
    file = tree / "src" / "ML-IAP" / "mliap_data.cpp"
    file.write_text(
        '  memory->grow(jelems, nneigh, "x");\n'
        '  memory->grow(lmp_firstneigh, natomneigh, nneigh, "y");\n'
        "  lmp_firstneigh[ii][ninside] = firstneigh[i][jj];\n"
    )
    building.patch(tree)
    assert file.read_text() == (
        '  memory->grow(jelems, nneigh, "x");\n#ifdef MLIAP_ACE\n'
        '  memory->grow(lmp_firstneigh, natomneigh, nneigh, "y");\n#endif\n#ifdef MLIAP_ACE\n'
        "  lmp_firstneigh[ii][ninside] = firstneigh[i][jj];\n#endif\n"
    )


def test_environment_for_a_shell() -> None:
    lines = for_shell(Path("/where/lammps"))
    assert 'export PATH="/where/lammps/bin:' in lines
    assert lines.count("export") == 3
