"""Bad input: refused early, in one clear sentence, with exit code 2, nothing overwritten."""

import errno
import hashlib
import os
import pickle
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from typer.testing import CliRunner

from distill.cli import app
from distill.data.dataset import MoleculeData, TeacherRecord, write
from distill.data.explore import Explorers
from distill.run import RunFolder, RunSettings
from distill.student import Student, save_student
from distill.train.config import TrainConfig
from distill.train.from_datasets import train_from_datasets

PROGRAM = Path(sys.executable).parent / "distill"
RUN = ("run", "{source}", "-o", "{out}")
LABEL = ("label", "{source}", "-o", "{out}.h5")
OWN = "Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.0"
WATER = "O 0 0 0\nH 0.76 0 0.59\nH -0.76 0 0.59\n"
LABELLED = WATER.replace("\n", " 0 0 0\n")


def xyz(atoms: str, comment: str = "") -> str:
    return f"{len(atoms.strip().splitlines())}\n{comment}\n{atoms}"


# -- what a test finds in its folder --------------------------------------------------------------
def file(name: str, content: str | bytes) -> Callable[[Path], Path]:
    """A file of the user's."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def water_dataset(folder: Path, teacher: str = "gfn2-xtb") -> Path:
    """Four labelled geometries of water."""
    rng = np.random.default_rng(0)
    x = np.array([[0, 0, 0], [0.76, 0, 0.59], [-0.76, 0, 0.59]]) + rng.normal(0, 0.03, (4, 3, 3))
    data = MoleculeData(
        "O", "O", 0, np.array([8, 1, 1]), x, np.full(4, -138.0), np.zeros((4, 3, 3)),
        np.full(4, 300.0), np.array(["md"] * 4, dtype=object),
    )  # fmt: skip
    write(folder / f"{teacher}.h5", TeacherRecord(teacher, "tblite 0.8.0", True), [data])
    return folder / f"{teacher}.h5"


def folder_with_test(folder: Path) -> Path:
    (folder / "labels").mkdir()
    return water_dataset(folder).rename(folder / "labels" / "test.h5").parent


def folder_of_a_run(folder: Path) -> Path:
    labels = folder_with_test(folder)
    (labels / "run.json").write_text("{}")
    return labels


def damaged_dataset(folder: Path) -> Path:
    return flipped(water_dataset(folder))


def damaged_student(folder: Path) -> Path:
    return flipped(student_file(folder))


def flipped(path: Path) -> Path:
    """With one bit in the middle turned over."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path


def student_file(folder: Path) -> Path:
    save_student(Student.untrained("ultra-tiny"), folder / "student.safetensors")
    return folder / "student.safetensors"


def newer_student(folder: Path) -> Path:
    """A student file of a later distiller: the same, with format_version 9."""
    path = student_file(folder)
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header = whole[8 : 8 + length]
    changed = header.replace(rb"\"format_version\": 3", rb"\"format_version\": 9")
    assert changed != header
    path.write_bytes(whole[:8] + changed + whole[8 + length :])
    return path


def truncated_student(folder: Path) -> Path:
    path = student_file(folder)
    path.write_bytes(path.read_bytes()[:-1000])
    return path


def foreign_safetensors(folder: Path) -> Path:
    safetensors.torch.save_file({"w": torch.zeros(3)}, folder / "foreign.safetensors")
    return folder / "foreign.safetensors"


class Bomb:
    """Tells on whoever unpickles it."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, ("pickle-was-read",)


def pickled(folder: Path) -> Path:
    (folder / "student.safetensors").write_bytes(pickle.dumps(Bomb()))
    return folder / "student.safetensors"


def torch_checkpoint(folder: Path) -> Path:
    torch.save({"w": torch.zeros(3)}, folder / "student.pt")
    return folder / "student.pt"


def another_run(folder: Path) -> None:
    """The output folder holds a run of another molecule."""
    RunFolder(folder / "out", RunSettings("CCO"))
    (folder / "out" / "student.safetensors").write_bytes(b"an hour's work")


def own_run(folder: Path) -> None:
    """The output folder holds a run of the same molecule with another budget."""
    RunFolder(folder / "out", RunSettings("C", minutes=20.0))


def own_files(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "thesis.tex").write_text("chapter one")


def out_is_a_file(folder: Path) -> None:
    (folder / "out").write_text("mine")


def dataset_of_another_teacher(folder: Path) -> None:
    water_dataset(folder, "gfn1-xtb").rename(folder / "out.h5")


def foreign_dataset(folder: Path) -> None:
    (folder / "out.h5").write_text("a spreadsheet")


def report_there(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "report.json").write_text("{}")


def training_there(folder: Path) -> None:
    config = TrainConfig(steps=1, backend="eager")
    data = water_dataset(folder)
    train_from_datasets([data], folder / "out", config, size="ultra-tiny", progress=False)


def smiles(text: str) -> Callable[[Path], str]:
    return lambda folder: text


Case = tuple[tuple[str, ...], Callable[[Path], object], Callable[[Path], None] | None, str]
CASES: dict[str, Case] = {
    # molecules
    "unknown element": (RUN, smiles("[Fe]"), None, "elements no student knows: Fe"),
    "unknown element to label": (LABEL, smiles("C[Si](C)(C)C"), None, "no student knows: Si"),
    "odd electron count": (
        RUN, file("oh.xyz", xyz("O 0 0 0\nH 0 0 0.97\n")), None, "9 electrons"),
    "odd electron count by charge": (
        LABEL, file("w.xyz", xyz(WATER, "charge=1")), None, "cannot have multiplicity 1"),
    "invalid SMILES": (RUN, smiles("C1CC(C"), None, "neither a file nor a valid SMILES"),
    "impossible valence": (LABEL, smiles("C(C)(C)(C)(C)C"), None, "nor a valid SMILES"),
    "empty SMILES": (RUN, smiles(""), None, "nor a valid SMILES"),
    "several fragments": (RUN, smiles("CC(=O)[O-].[Na+]"), None, "several fragments"),
    "missing file": (RUN, smiles("nowhere.sdf"), None, "no such file"),
    "empty file": (RUN, file("empty.sdf", ""), None, "is empty"),
    "empty XYZ to label": (LABEL, file("empty.xyz", "\n"), None, "is empty"),
    "not an XYZ": (LABEL, file("story.xyz", "once upon a time\n"), None, "not a readable XYZ"),
    "unknown kind of file": (LABEL, file("molecule.docx", "?"), None, "unknown kind of file"),
    "NaN coordinates": (
        RUN, file("nan.xyz", xyz(WATER.replace("0.59", "nan"))), None, "not a number"),
    "overlapping atoms": (
        RUN, file("overlap.xyz", xyz(WATER.replace("-0.76", "0.75"))), None, "two atoms overlap"),
    "too many molecules to run": (
        RUN, file("many.smi", "".join(f"{'C' * k}O\n" for k in range(1, 52))), None,
        "holds 51 molecules, and `distill run` makes a student of 50 at most"),
    "no labels to run with": ((*RUN, "--labels", "0"), smiles("CO"), None, "--labels is 0"),
    "one bad line of many": (LABEL, file("many.smi", "CO\nCCO\nC(C\n"), None, "line 3"),
    "salt": (LABEL, smiles("CC(=O)[O-].[Na+]"), None, "the drug alone: 'CC(=O)[O-]'"),
    "charge that is none": (
        RUN, file("w.xyz", xyz(WATER, "charge=two")), None, "must be a whole number"),
    "charge in words": (LABEL, file("w.xyz", xyz(WATER, "dianion")), None, "--charge"),
    "charge of a SMILES": ((*RUN, "--charge", "1"), smiles("CO"), None, "by its bonds, not 1"),
    "two charges": (
        ("check", "tiny", "{source}", "--charge", "-2"),
        file("w.xyz", xyz(WATER, "charge=2")), None, "differ, 2 and -2"),
    "spin of coordinates": (
        (*LABEL, "--spin", "2"), file("w.xyz", xyz(WATER)), None, "multiplicity 2"),
    # output
    "folder of another run": (RUN, smiles("C"), another_run, "holds another run"),
    "folder of a run with another budget": (RUN, smiles("C"), own_run, "minutes is 20.0 there"),
    "folder not empty": (RUN, smiles("C"), own_files, "not empty"),
    "folder is a file": (RUN, smiles("C"), out_is_a_file, "is a file"),
    "dataset of another teacher": (
        LABEL, smiles("O"), dataset_of_another_teacher, "labels of gfn1-xtb"),
    "dataset is foreign": (LABEL, smiles("O"), foreign_dataset, "not a dataset"),
    "training folder in use": (
        ("train", "{source}", "-o", "{out}", "--size", "ultra-tiny", "--steps", "1"),
        water_dataset, training_there, "holds another training run"),
    "training folder not empty": (
        ("train", "{source}", "-o", "{out}"), water_dataset, own_files, "not empty"),
    "report folder in use": (
        ("evaluate", "{student}", "{source}", "-o", "{out}"), water_dataset, report_there,
        "already holds report.json"),
    "export over a file": (("export", "{source}", "-o", "{out}"), student_file, out_is_a_file,
        "is there already"),
    # student files
    "newer student": (("info", "{source}"), newer_student, None, "student format 9"),
    "newer student to start from": (
        (*RUN[:1], "C", *RUN[2:], "--from", "{source}"), newer_student, None, "upgrade"),
    "truncated student": (("info", "{source}"), truncated_student, None, "truncated"),
    "foreign safetensors": (("info", "{source}"), foreign_safetensors, None, "another program"),
    "pickle": (("info", "{source}"), pickled, None, "pickle"),
    "torch checkpoint": (
        ("export", "{source}", "-o", "{out}"), torch_checkpoint, None, "never read"),
    "missing student": (("info", "{source}"), smiles("no.safetensors"), None, "No student file"),
    "student of another size": (
        (*RUN[:1], "C", *RUN[2:], "--from", "{source}"), student_file, None, "--size ultra-tiny"),
    # settings
    "unknown teacher": ((*RUN, "--teacher", "dft"), smiles("C"), None, "Unknown teacher 'dft'"),
    "unknown teacher to label": (
        (*LABEL, "--teacher", "dft", "--workers", "1"), smiles("C"), None, "Unknown teacher"),
    "unknown calculator": (
        (*RUN, "--teacher", "ase:no.such:Thing"), smiles("C"), None, "cannot be imported"),
    "unknown teacher option": (
        (*RUN, "--teacher-option", "speed=9"), smiles("C"), None, "no option 'speed'"),
    "teacher option without a value": (
        (*RUN, "--teacher-option", "accuracy"), smiles("C"), None, "write key=value"),
    "teacher option not a number": (
        (*RUN, "--teacher-option", "accuracy=high"), smiles("C"), None, "must be a number"),
    "weights for xtb": (
        (*RUN[:1], "C", *RUN[2:], "--weights", "{source}"), student_file, None, "has no weights"),
    "wrong size": ((*RUN, "--size", "huge"), smiles("C"), None, "Unknown size 'huge'"),
    "zero budget": ((*RUN, "--budget", "0"), smiles("C"), None, "must be positive"),
    "budget not a number": ((*RUN, "--budget", "nan"), smiles("C"), None, "must be positive"),
    "below absolute zero": ((*RUN, "--temperature", "-3"), smiles("C"), None, "above 0 K"),
    "negative seed": ((*RUN, "--seed", "-1"), smiles("C"), None, "from 0 to"),
    "no workers": ((*RUN, "--workers", "0"), smiles("C"), None, "1 or more"),
    "bad temperatures": (
        (*LABEL, "--temperatures", "300;500"), smiles("C"), None, "positive numbers"),
    "no conformers": ((*LABEL, "--conformers", "0"), smiles("C"), None, "1 or more"),
    "zero training time": (
        ("train", "{source}", "-o", "{out}", "--minutes", "0"), water_dataset, None,
        "must be positive"),
    **{
        f"train {' '.join(option)}": (
            ("train", "{source}", "-o", "{out}", *option), water_dataset, None, expected)
        for option, expected in (
            (("--minutes", "nan"), "must be positive"), (("--minutes", "inf"), "finite"),
            (("--minutes", "-1"), "must be positive"), (("--steps", "0"), "must be positive"),
            (("--steps", "-5"), "must be positive"), (("--learning-rate", "-1"), "above 0"),
            (("--learning-rate", "0"), "above 0"), (("--learning-rate", "nan"), "above 0"),
            (("--learning-rate", "inf"), "at most 1"), (("--devices", "0"), "1 or more"),
            (("--devices", "-1"), "1 or more"), (("--devices", "100000"), "or fewer"),
            (("--batch", "0"), "1 to"), (("--batch", "1000000000"), "1 to"),
            (("--seed", "-1"), "from 0 to"), (("--seed", str(2**40)), "from 0 to"),
            (("--accelerator", "xyz"), "one of cpu, gpu"), (("--backend", "fast"), "one of auto"),
            (("--threads", "0"), "1 or more"), (("--threads", "1000000"), "or fewer"),
            (("--size", "huge"), "Unknown size"),
            (("--from", "tiny", "--size", "original"), "not original"),
            (("--from", "nobody"), "No student file"), (("--valid", "none.h5"), "no file"),
            (("--energy-key", "E"), "for extended XYZ"),
        )
    },
    "train into a file's folder": (
        ("train", "{source}", "-o", "{source}/out"), water_dataset, None, "is a file"),
    "train on a folder with a test set": (
        ("train", "{source}", "-o", "{out}"), folder_with_test, None, "there to judge by"),
    "train on a file twice": (
        ("train", "{source}", "{source}", "-o", "{out}"), water_dataset, None, "twice"),
    "train on XYZ without labels": (
        ("train", "{source}", "-o", "{out}"), file("w.xyz", xyz(WATER)), None, "has no energy"),
    "train on one frame": (
        ("train", "{source}", "-o", "{out}"), file("w.xyz", xyz(LABELLED, OWN)), None, "too few"),
    "train on damaged labels": (
        ("train", "{source}", "-o", "{out}"), damaged_dataset, None, "cut off or damaged"),
    "damaged student": (("info", "{source}"), damaged_student, None, "checksum"),
    "label nothing": (("label", "-o", "{out}"), file("w.xyz", xyz(WATER)), None, "nothing to lab"),
    "label own labels by nobody": (
        ("label", "--from-file", "{source}", "-o", "{out}"), file("w.xyz", xyz(LABELLED, OWN)),
        None, "not said who labelled; give --labelled-by"),
    "label own labels and others": (
        ("label", "CCO", "--from-file", "{source}", "-o", "{out}", "--labelled-by", "DFT"),
        file("w.xyz", xyz(LABELLED, OWN)), None, "leave out CCO"),
    "label own labels by a teacher": (
        ("label", "--from-file", "{source}", "-o", "{out}", "--labelled-by", "DFT", "--teacher",
         "gfn1-xtb"), file("w.xyz", xyz(LABELLED, OWN)), None, "no teacher is asked"),
    "label by somebody": (
        ("label", "CCO", "-o", "{out}", "--labelled-by", "DFT"),
        file("w.xyz", xyz(WATER)), None, "are for --from-file"),
    "label own labels that are a dataset": (
        ("label", "--from-file", "{source}", "-o", "{out}", "--labelled-by", "DFT"), water_dataset,
        None, "is a dataset of distill, labelled by"),
    "evaluate a folder of a run": (
        ("evaluate", "{student}", "{source}", "-o", "{out}"), folder_of_a_run, None,
        "is a folder; give a file in it: test.h5"),
    "evaluate by a key that is not there": (
        ("evaluate", "{student}", "{source}", "-o", "{out}", "--energy-key", "E"),
        file("w.xyz", xyz(LABELLED, OWN)), None, "no 'E' (--energy-key)"),
    "two training budgets": (
        ("train", "{source}", "-o", "{out}", "--minutes", "1", "--steps", "1"), water_dataset,
        None, "either minutes or steps"),
    "two teachers": (
        ("train", "{source}", "{other}", "-o", "{out}"), water_dataset, None, "two teachers"),
    "resume nothing": (
        ("train", "{source}", "-o", "{out}", "--resume"), water_dataset, None, "no training run"),
    "train on text": (
        ("train", "{source}", "-o", "{out}"), file("data.h5", "1,2,3"), None, "not a dataset"),
    "export in a strange precision": (
        ("export", "{source}", "--format", "mliap", "--dtype", "int4", "-o", "{out}"),
        student_file, None, "use float32 or float64"),
    "export without its ending": (
        ("export", "{source}", "--format", "aoti", "-o", "{out}"), student_file, None,
        "must be named .pt2"),
    "export to nonsense": (
        ("export", "{source}", "--format", "jpeg", "-o", "{out}"), student_file, None,
        "Unknown format"),
}  # fmt: skip


def snapshot(folder: Path) -> dict[str, str]:
    """Every file of the folder, and what is in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command, source, output, expected = CASES[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    made = source(tmp_path)
    if output is not None:
        output(tmp_path)
    places = {"source": str(made), "out": str(tmp_path / "out")}
    if "{student}" in command:
        places["student"] = str(student_file(tmp_path))
    if "{other}" in command:
        places["other"] = str(water_dataset(tmp_path, "gfn1-xtb"))
    before = snapshot(tmp_path)

    # nothing may be labelled or trained, not even begun
    def too_late(*_: object, **__: object) -> None:
        raise AssertionError("refused too late")

    monkeypatch.setattr(Explorers, "__enter__", too_late)
    monkeypatch.setattr(sys.modules["distill.data.label"], "run_task", too_late)
    monkeypatch.setattr("distill.data.store.Store.add", too_late)
    monkeypatch.setattr("distill.train.from_datasets.train", too_late)

    result = CliRunner().invoke(app, [word.format(**places) for word in command])
    assert result.exit_code == 2, (result.output, result.exception)
    assert expected in result.stderr
    assert result.stderr.strip().count("\n") == 0  # one sentence, as long as it may be
    assert "Traceback" not in result.output and not result.stdout
    assert snapshot(tmp_path) == before


@pytest.mark.slow
def test_the_program_itself(tmp_path: Path) -> None:
    own_files(tmp_path)
    before = snapshot(tmp_path)
    result = subprocess.run(
        [PROGRAM, "run", "CC.O", "-o", tmp_path / "out"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr.strip() == (
        "'CC.O' has several fragments; give one molecule, for a salt the drug alone: 'CC' "
        "(or --largest-fragment)."
    )
    assert result.stdout == "" and snapshot(tmp_path) == before


@pytest.mark.parametrize("command", [RUN, LABEL, ("train", "{source}", "-o", "{out}")])
def test_a_full_disk_is_seen_before_the_work(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    places = {"source": "C", "out": str(tmp_path / "new" / "out")}
    result = CliRunner().invoke(app, [word.format(**places) for word in command])
    assert result.exit_code == 2
    assert "is full" in result.stderr and "make room" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["label", "train", "evaluate", "export"])
def test_a_disk_that_fills_up_meanwhile(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, student = water_dataset(tmp_path), student_file(tmp_path)
    other = tmp_path / "other.safetensors"
    shutil.copy(student, other)
    words = {
        "label": ["label", "CO", "-o", str(data), "--frames", "2", "--workers", "1"],
        "train": ["train", str(data), "-o", str(tmp_path / "out"), "--size", "ultra-tiny",
                  "--steps", "1", "--backend", "eager"],
        "evaluate": ["evaluate", str(student), str(data), "-o", str(tmp_path / "out")],
        "export": ["export", str(student), "-o", str(other), "--force"],
    }[command]  # fmt: skip
    before = snapshot(tmp_path)
    replace = os.replace

    def full(source: str | Path, target: str | Path, **_: object) -> None:
        if Path(target).suffix in (".h5", ".safetensors", ".png") and Path(target).is_relative_to(
            tmp_path
        ):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2, (result.output, result.exception)
    assert "No space left" in result.stderr or "disk is full" in result.stderr
    after = snapshot(tmp_path)
    assert {name: after.get(name) for name in before} == before
