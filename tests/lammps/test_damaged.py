"""Files that were cut off, or in which bits have turned: a sentence, never a crash."""

import pickle
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from distill.errors import DistillError
from distill_lammps import plugin
from distill_lammps.build import find_mpi
from distill_lammps.export import PLUGIN_FORMAT, export_mliap, export_plugin

SOURCES = plugin.SOURCES

READ = """
#include "student_file.h"
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
int main(int, char **names) {
  for (++names; *names; ++names) {
    std::ifstream file(*names, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    try {
      distill_lammps::read_student("FILE", bytes);
      std::cout << "right" << std::endl;
    } catch (const std::runtime_error &error) {
      std::cout << error.what() << std::endl;
    }
  }
}
"""
DAMAGED = "FILE is cut off or damaged: write it again, distill export NAME --format lammps"
"""What is said of damaged files."""


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """Reads files as LAMMPS does, under a sanitizer: a line for each."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "read.cpp").write_text(READ)
    mpi = find_mpi()
    assert mpi is not None
    subprocess.run(
        ["c++", "-std=c++17", "-O1", "-g", "-fsanitize=address,undefined",
         "-fno-sanitize-recover=all", f"-I{SOURCES}", "read.cpp", str(SOURCES / "student_file.cpp"),
         "-o", "read"], cwd=folder, check=True,
    )  # fmt: skip

    def read(*contents: bytes) -> list[str]:
        names = []
        for k, content in enumerate(contents):
            names.append(folder / f"{k}.student")
            names[-1].write_bytes(content)
        done = subprocess.run([folder / "read", *names], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return read


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> bytes:
    file = tmp_path_factory.mktemp("good") / "x.student"
    export_plugin("ultra-tiny", file)
    return file.read_bytes()


def summed(content: bytes) -> bytes:
    """With a right checksum."""
    return f"{PLUGIN_FORMAT}\n{zlib.crc32(content):08x}\n".encode() + content


def test_cut_off(reader, good) -> None:
    rng = np.random.default_rng(0)
    cuts = [0, 10, len(PLUGIN_FORMAT), *rng.integers(len(PLUGIN_FORMAT) + 1, len(good), 40)]
    said = reader(good, *(good[:k] for k in cuts), good + b"x")
    assert said[0] == "right"
    assert all("is not of this version's format: write it again" in line for line in said[1:4])
    assert set(said[4:]) == {DAMAGED}


def test_turned_bits(reader, good) -> None:
    rng = np.random.default_rng(1)
    places = [*range(len(PLUGIN_FORMAT) + 1, 120), *rng.integers(120, len(good), 40)]
    broken = []
    for place in places:
        content = bytearray(good)
        content[place] ^= 1 << rng.integers(8)
        broken.append(bytes(content))
    assert set(reader(*broken)) == {DAMAGED}


def test_impossible_contents(reader, good) -> None:
    """With a checksum that is right: nobody is trusted."""
    content = good.split(b"\n", 2)[2]
    elements, rest = content.split(b"\n", 1)
    counts = struct.unpack("=3q", rest[:24])
    broken = []
    for k in range(3):
        for size in (-1, 0, 1, counts[k] + 1, 2**31, 2**61, -(2**63), 2**63 - 1):
            sizes = [*counts]
            sizes[k] = size
            broken.append(elements + b"\n" + struct.pack("=3q", *sizes) + rest[24:])
    for k in range(8):  # of the description
        for value in (np.nan, np.inf, -1.0, 0.0, 1e300, -1e300, 2.0**40):
            numbers = bytearray(rest)
            struct.pack_into("=d", numbers, 24 + 8 * k, value)
            broken.append(elements + b"\n" + bytes(numbers))
    for names in (b"", b"H", elements + b" Xx", b"\0" * 50, b"\xff" * 10_000):
        broken.append(names + b"\n" + rest)
    broken += [b"", b"\n", b"H C\n", b"H C\n" + b"\0" * 23]
    assert set(reader(*map(summed, broken))) == {DAMAGED}
    weights = bytearray(content)
    weights[-8:] = struct.pack("=d", np.nan)
    (line,) = reader(summed(bytes(weights)))
    assert "holds weights that are not numbers" in line


def test_export_leaves_nothing_half_done(tmp_path: Path) -> None:
    """A bad student is refused where it is exported, not in LAMMPS; what was there stays."""
    bad, out = tmp_path / "bad.safetensors", tmp_path / "out"
    bad.write_bytes(b"nothing of a student")
    out.write_text("before")
    for export in (export_plugin, export_mliap):
        with pytest.raises(DistillError, match="truncated or not a safetensors file"):
            export(bad, out)
    assert out.read_text() == "before"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bad.safetensors", "out"]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_in_lammps(wheel, tmp_path, ranks) -> None:
    from ase.build import molecule

    atoms = molecule("H2O")
    atoms.set_cell([10] * 3)
    atoms.center()
    content = bytearray(wheel.export("ultra-tiny", style="distill").read_bytes())
    content[30_000] ^= 4
    file = tmp_path / "broken.distill"
    file.write_bytes(content)
    done = wheel.run(wheel.setup(atoms, file, tmp_path) + "run 0\n", tmp_path, ranks)
    assert done.returncode != 0
    assert "broken.distill is cut off or damaged: write it again" in done.stdout


def test_mliap(tmp_path, capsys, monkeypatch) -> None:
    """As LAMMPS' interpreter reads it and prints what is raised: whatever is wrong after the first
    thing in the file, which sees to the sentence."""
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    export_mliap("ultra-tiny", tmp_path / "x")
    good = (tmp_path / "x").read_bytes()
    first = good.index(b"Reading.begin") + 40
    rng = np.random.default_rng(2)
    broken = [good[:k] for k in [first, len(good) - 1, *rng.integers(first, len(good), 20)]]
    places = [*range(first, first + 60), *range(len(good) - 80, len(good) - 2)]
    for place in [*places, *rng.integers(first, len(good) - 2, 40)]:
        content = bytearray(good)
        content[place] ^= 1 << rng.integers(8)
        broken.append(bytes(content))
    refused = 0
    for content in broken:
        try:
            pickle.loads(content).check()
        except Exception as error:
            sys.excepthook(type(error), error, error.__traceback__)
            said = capsys.readouterr().err
            assert said.startswith("ERROR from the student: ") and said.count("\n") == 1, said
            assert "write it again: distill export NAME --format mliap" in said
            refused += 1
    # but for bits that mean nothing: the name of the version, say
    assert refused > len(broken) - 40
    pickle.loads(good).check()
    # what comes later is none of the file's
    sys.excepthook(KeyError, KeyError("x"), None)
    assert "KeyError" in capsys.readouterr().err


@pytest.mark.slow
def test_mliap_in_lammps(lmp, tmp_path) -> None:
    from ase.build import molecule

    atoms = molecule("H2O")
    atoms.set_cell([10] * 3)
    atoms.center()
    file = tmp_path / "half.mliap"
    file.write_bytes(lmp.export("ultra-tiny").read_bytes()[:40_000])
    done = lmp.run(lmp.setup(atoms, file, tmp_path) + "run 0\n", tmp_path)
    assert done.returncode != 0
    said = [line for line in done.stdout.splitlines() if "ERROR from the student" in line]
    assert len(said) == 1 and "write it again: distill export NAME" in said[0], done.stdout
    assert "Traceback" not in done.stdout
