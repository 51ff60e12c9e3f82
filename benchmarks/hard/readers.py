"""Reads mutations of a file, each in a process of its own, and says what came of it.

    python readers.py KIND FILE COUNT SEED FOLDER

A line of JSON for each: "fine" and the results' digest, "refused" and the sentence, or what should
never be: an error that is no sentence, a signal, a hang. The processes are forked, so that nothing
is imported 200 times.
"""

import hashlib
import json
import os
import resource
import select
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase.build import molecule

from distill import DistillError, load_student
from distill.data.dataset import Dataset
from distill.evaluate.frames import read_frames
from distill.train.config import LEARNING_RATES, TrainConfig
from distill.train.from_datasets import train_from_datasets
from distill_ase import OnnxCalculator, StudentCalculator

SECONDS = 30.0
STEPS = 30
"""Of the training whose checkpoint is mutated, which goes on for ten more."""


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut off, or with other bits or bytes; half of the time near the beginning."""
    near = rng.random() < 0.5
    place = int(rng.integers(min(len(data), 4096) if near else len(data)))
    kind = rng.integers(6)
    if kind == 0:
        return data[:place]
    changed = bytearray(data)
    if kind == 1:
        changed[place] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        for k in rng.integers(place, min(len(data), place + 4096), size=16):
            changed[int(k)] = int(rng.integers(256))
    elif kind == 3:  # a sector that was never written
        changed[place : place + 512] = bytes(min(512, len(data) - place))
    elif kind == 4:
        changed[place:place] = rng.bytes(int(rng.integers(1, 64)))
    else:
        del changed[place : place + int(rng.integers(1, 64))]
    return bytes(changed)


def of_student(file: Path) -> bytes:
    """Energy and forces of methanol."""
    atoms = molecule("CH3OH")
    atoms.calc = StudentCalculator(file)
    return atoms.get_forces().tobytes() + np.float64(atoms.get_potential_energy()).tobytes()


def of_onnx(file: Path) -> bytes:
    """The same of an exported one."""
    atoms = molecule("CH3OH")
    atoms.calc = OnnxCalculator(file)
    return atoms.get_forces().tobytes() + np.float64(atoms.get_potential_energy()).tobytes()


def of_dataset(file: Path) -> bytes:
    """All geometries and labels."""
    with Dataset.open(file) as dataset:
        found = [dataset.teacher.version.encode()]
        for one in dataset:
            found += [one.name.encode(), one.numbers.tobytes(), one.positions.tobytes()]
            found += [one.energy.tobytes(), one.forces.tobytes()]
    for frame in read_frames(file):
        found += [frame.positions.tobytes(), np.float64(frame.energy).tobytes()]
    return b"".join(found)


def trained(data: Path, out: Path, steps: int, resume: bool) -> bytes:
    """The weights after a short training."""
    config = TrainConfig(
        minutes=None, steps=steps, seed=1, learning_rate=LEARNING_RATES["ultra-tiny"], batch=8
    )
    train_from_datasets([data], out, config, size="ultra-tiny", resume=resume, progress=False)
    student = load_student(out / "student.safetensors")
    return b"".join(value.numpy().tobytes() for value in student.state_dict().values())


def of_checkpoint(file: Path) -> bytes:
    """The weights of a training that goes on from it; its folder and data are beside it."""
    out = file.parent / f"out-{os.getpid()}"
    shutil.copytree(file.parent / "begun", out)
    shutil.copyfile(file, out / "last.ckpt")
    try:
        return trained(file.parent / "labels.h5", out, STEPS + 10, True)
    finally:
        shutil.rmtree(out, ignore_errors=True)


READERS: dict[str, Callable[[Path], bytes]] = {
    "student": of_student,
    "int8": of_student,
    "onnx": of_onnx,
    "dataset": of_dataset,
    "checkpoint": of_checkpoint,
}


def forked(reader: Callable[[Path], bytes], file: Path) -> tuple[str, str]:
    """What comes of one file: a word, and more about it."""
    ready, answer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ready)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        try:
            said = ["fine", hashlib.sha256(reader(file)).hexdigest()]
        except DistillError as error:
            said = ["refused", str(error)]
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            said = ["error", f"{type(error).__name__} in {where.name}: {str(error)[:100]}"]
        os.write(answer, json.dumps(said).encode()[:60000])
        os._exit(0)
    os.close(answer)
    slow = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    came = select.select([ready], [], [], SECONDS * slow)[0]
    text = os.read(ready, 65536) if came else b""
    os.close(ready)
    if not came:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not came:
        return "hang", ""
    if not text:
        return "signal", str(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else str(status)
    word, more = json.loads(text)
    return word, more


def main() -> None:
    """The first line is of the file as it is."""
    kind, original, count, seed, folder = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    data, place = Path(original).read_bytes(), Path(folder)
    rng = np.random.default_rng([int(seed), len(data)])
    for number in range(int(count) + 1):
        file = place / f"mutated-{number:03d}{Path(original).suffix}"
        file.write_bytes(mutated(data, rng) if number else data)
        started = time.monotonic()
        word, more = forked(READERS[kind], file)
        print(json.dumps([file.name, word, more, time.monotonic() - started]), flush=True)


if __name__ == "__main__":
    main()
