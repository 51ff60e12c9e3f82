"""The dataset file: what goes in comes out, units are named, foreign files are refused."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from distill.data.dataset import Dataset, MoleculeData, TeacherRecord, join, write, write_part
from distill.errors import DistillError
from distill.evaluate.frames import read_frames

TEACHER = TeacherRecord("gfn2-xtb", "tblite 0.8.0", True)


def made(rng: np.random.Generator, name: str, frames: int, *, failed: int = 0) -> MoleculeData:
    return MoleculeData(
        name=name,
        smiles="O",
        charge=0,
        numbers=np.array([8, 1, 1]),
        positions=rng.normal(size=(frames, 3, 3)).astype(np.float32),
        energy=rng.normal(-138, 1, frames),
        forces=rng.normal(size=(frames, 3, 3)).astype(np.float32),
        temperature=np.full(frames, 300, dtype=np.float32),
        source=np.array(["mmff94-md"] * frames, dtype=object),
        failed_positions=np.full((failed, 3, 3), np.nan) if failed else None,
        failed_reason=("did not converge",) * failed,
        tasks=(f"{name}-{frames}-{failed}",),
    )


def same(a: MoleculeData, b: MoleculeData) -> bool:
    return all(
        np.array_equal(getattr(a, key), getattr(b, key))
        for key in ("numbers", "positions", "energy", "forces", "temperature", "source")
    )


def test_round_trip_is_exact(tmp_path: Path, rng: np.random.Generator) -> None:
    data = [made(rng, "water", 5), made(rng, "C_C=C_C", 3, failed=2), made(rng, "none", 0)]
    write(tmp_path / "set.h5", TEACHER, data)
    with Dataset.open(tmp_path / "set.h5") as dataset:
        assert dataset.teacher == TEACHER
        assert (len(dataset), dataset.frames) == (3, 8)
        for molecule in data:
            assert same(dataset[molecule.name], molecule)
        failed = dataset["C_C=C_C"]
        assert failed.failed_reason == ("did not converge",) * 2
        assert failed.failed_positions is not None and failed.failed_positions.shape == (2, 3, 3)


def test_layout_is_that_of_spice(tmp_path: Path, rng: np.random.Generator) -> None:
    write(tmp_path / "set.h5", TEACHER, [made(rng, "water", 4)])
    with h5py.File(tmp_path / "set.h5") as file:
        group = file["water"]
        assert group["atomic_numbers"].shape == (3,)
        assert group["conformations"].shape == (4, 3, 3)
        units = {k: group[k].attrs["units"] for k in ("conformations", "energy", "forces")}
        assert units == {"conformations": "angstrom", "energy": "eV", "forces": "eV/angstrom"}
        assert group.attrs["smiles"] == "O"
        assert file.attrs["teacher"] == "gfn2-xtb"


def test_frames_are_added_to_a_molecule(tmp_path: Path, rng: np.random.Generator) -> None:
    first, second = made(rng, "water", 5), made(rng, "water", 40, failed=1)
    write(tmp_path / "set.h5", TEACHER, [first])
    write(tmp_path / "set.h5", TEACHER, [second])
    with Dataset.open(tmp_path / "set.h5") as dataset:
        water = dataset["water"]
    assert np.array_equal(water.energy, np.concatenate([first.energy, second.energy]))
    assert np.array_equal(water.forces, np.concatenate([first.forces, second.forces]))
    assert water.tasks == first.tasks + second.tasks


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "set.h5"
    write(path, TEACHER, [made(rng, "water", 5)])
    before = path.read_bytes()
    other = made(rng, "water", 5)
    other.numbers[0] = 16
    with pytest.raises(DistillError, match="another molecule named 'water'"):
        write(path, TEACHER, [made(rng, "new", 2), other])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_parts_are_read_together(tmp_path: Path, rng: np.random.Generator) -> None:
    pieces = [made(rng, "water", 5), made(rng, "water", 2), made(rng, "ice", 3)]
    for k, piece in enumerate(pieces):
        write_part(tmp_path / f"{k}.h5", TEACHER, piece)
    (tmp_path / "9.h5").write_bytes((tmp_path / "0.h5").read_bytes()[:700])
    with Dataset.open(tmp_path) as dataset:
        assert (len(dataset), dataset.frames) == (2, 10)
        assert len(dataset["water"]) == 7
        assert same(dataset["ice"], pieces[2])


def test_reading_does_not_change_the_file(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "set.h5"
    write(path, TEACHER, [made(rng, "water", 5)])
    path.chmod(0o444)
    before = path.read_bytes()
    with Dataset.open(path) as dataset:
        list(dataset)
        with pytest.raises(DistillError, match="no molecule 'ice'"):
            dataset["ice"]
    assert path.read_bytes() == before


def test_bad_files_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    good = tmp_path / "good.h5"
    write(good, TEACHER, [made(rng, "water", 50)])
    image = good.read_bytes()
    bad = tmp_path / "bad.h5"

    def refused(words: str) -> None:
        with pytest.raises(DistillError, match=words) as caught:
            Dataset.open(bad)
        assert "bad.h5" in str(caught.value)

    refused("no such file")
    for content in (b"", b"no HDF5 at all", image[:100], image[: len(image) // 2], image[:-1]):
        bad.write_bytes(content)
        refused("not a dataset, or it is cut off")
    bad.write_bytes(image)
    with h5py.File(bad, "a") as file:
        file.attrs["version"] = 99
    refused("newer")
    with h5py.File(bad, "w") as file:
        file["x"] = 1
    refused("not a dataset made by")
    bad.unlink()
    bad.mkdir()
    refused("no part")


def test_a_damaged_molecule_is_named(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "set.h5"
    write(path, TEACHER, [made(rng, "water", 5)])
    with h5py.File(path, "a") as file:
        del file["water"]["energy"]
    with Dataset.open(path) as dataset, pytest.raises(DistillError, match="damaged at 'water'"):
        dataset["water"]


def test_a_turned_bit_is_a_sentence(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "set.h5"
    data = [made(rng, "water", 30), made(rng, "dimer", 4, failed=2)]
    write(path, TEACHER, data)
    write(path, TEACHER, [made(rng, "more", 3)])  # sealed anew
    write_part(tmp_path / "part.h5", TEACHER, data[0])
    for file in (path, tmp_path / "part.h5"):
        content = file.read_bytes()
        for _ in range(100):
            changed = bytearray(content)
            changed[rng.integers(len(content))] ^= 1 << rng.integers(8)
            file.write_bytes(changed)
            try:
                with Dataset.open(file) as dataset:
                    assert same(dataset["water"], data[0])  # the seal itself was hit
            except DistillError as error:
                assert "damaged" in str(error)
    for cut in range(len(content) - 1, 0, -311):
        file.write_bytes(content[:cut])
        with pytest.raises(DistillError, match="cut off"), Dataset.open(file) as dataset:
            if len(content) - cut > 24:
                raise AssertionError
            assert same(dataset["water"], data[0])
            raise DistillError("only the seal is cut off")


def test_what_another_program_changed_is_read(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "set.h5"
    write(path, TEACHER, [made(rng, "water", 5)])
    with h5py.File(path, "a") as file:
        file["water/energy"][2] = -7.0
    with Dataset.open(path) as dataset:
        assert dataset["water"].energy[2] == -7.0


@pytest.mark.parametrize(
    "key, value",
    [("energy", "text"), ("conformations", 3.0), ("atomic_numbers", "x"), ("source", 1.0)],
)
def test_any_nonsense_inside_is_a_sentence(
    key: str, value: object, tmp_path: Path, rng: np.random.Generator
) -> None:
    path = tmp_path / "set.h5"
    write(path, TEACHER, [made(rng, "water", 5)])
    with h5py.File(path, "a") as file:
        del file[f"water/{key}"]
        file[f"water/{key}"] = value
    with Dataset.open(path) as dataset:
        try:
            dataset["water"], dataset.frames
        except DistillError as error:
            assert "damaged" in str(error)
    with pytest.raises(DistillError):
        read_frames(path)


FULL = """
import signal, sys
import resource
from pathlib import Path

import numpy as np

from distill.data.dataset import MoleculeData, TeacherRecord, write
from distill.errors import DistillError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the limit then gives an OSError, as a full disk
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
x = np.zeros((400, 3, 3), np.float32)
data = [
    MoleculeData(f"{k}", "O", 0, np.array([8, 1, 1]), x, x[:, 0, 0].astype(float), x, x[:, 0, 0],
                 np.array(["md"] * 400, dtype=object))
    for k in range(20)
]
try:
    write(Path(sys.argv[1]), TeacherRecord("gfn2-xtb", "tblite 0.8.0", True), data)
except DistillError as error:
    print(error)
    sys.exit(2)
"""


@pytest.mark.parametrize("limit", [500, 3000, 40_000, 200_000])
def test_a_full_disk_is_one_sentence(tmp_path: Path, rng: np.random.Generator, limit: int) -> None:
    """At whatever byte it fills up; HDF5 itself would crash the program at its end."""
    path = tmp_path / "set.h5"
    write(path, TEACHER, [made(rng, "water", 3)])
    before = path.read_bytes()
    result = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(limit)], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}, check=False,
    )  # fmt: skip
    assert result.returncode == 2, result
    assert "Cannot write" in result.stdout and result.stdout.count("\n") == 1
    assert not result.stderr
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_ctrl_c_while_it_is_written(tmp_path: Path, rng: np.random.Generator) -> None:
    """HDF5 is not interrupted in the middle of a molecule, and the old file stays."""
    path = tmp_path / "set.h5"
    write(path, TEACHER, [made(rng, "water", 3)])
    before = path.read_bytes()

    def interrupted() -> Iterator[MoleculeData]:
        yield made(rng, "first", 3)
        os.kill(os.getpid(), signal.SIGINT)
        yield made(rng, "second", 3)
        raise AssertionError("too late")

    with pytest.raises(KeyboardInterrupt):
        write(path, TEACHER, interrupted())
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_seconds_of_labels(tmp_path: Path) -> None:
    """They are kept; a file of before there were any takes them, with NaN for the older labels."""
    path = tmp_path / "a.h5"
    teacher = TeacherRecord("t", "1", True)
    x = np.zeros((2, 3, 3))
    old = MoleculeData("m", "O", 0, np.array([8, 1, 1]), x, x[:, 0, 0], x, x[:, 0, 0],
                       np.full(2, "none", dtype=object))  # fmt: skip
    write(path, teacher, [old])
    with Dataset.open(path) as dataset:
        assert dataset["m"].seconds is None
    write(path, teacher, [replace(old, seconds=np.array([1.0, 2.0]))])
    write(path, teacher, [old])
    with Dataset.open(path) as dataset:
        seconds = dataset["m"].seconds
        assert seconds is not None and len(seconds) == len(dataset["m"]) == 6
        np.testing.assert_array_equal(
            np.isfinite(seconds), [False, False, True, True, False, False]
        )
        both = join([old, replace(old, seconds=np.array([1.0, 2.0])), dataset["m"]])
    assert both.seconds is not None and np.isfinite(both.seconds).sum() == 4
