"""Labelling: tasks go out to processes or a Dask cluster, labels come back into one file.

Each finished task becomes one small file in ``FILE.parts/``, written whole or not at all and
named by the task's key, and all of them are merged into FILE at the end. So a kill at any
moment loses what was being computed and nothing else, and the same call goes on from there.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rdkit import Chem

from distill.data.dataset import Dataset, MoleculeData
from distill.data.meter import Meter
from distill.data.molecules import Molecule, geometry_problem
from distill.data.sampling import TEACHER, Frame, Sampling, TakesTooLong, not_as_asked, sample
from distill.data.store import Store
from distill.data.workers import executor
from distill.errors import DistillError
from distill.teacher.base import Label, Teacher, TeacherSpec

Work = Sampling | Sequence[Frame]
Task = tuple[Molecule, Work]

TOO_LONG = "no geometry in time"
"""So begins the reason where the other tasks of the molecule need not be tried."""
PATIENCE = 2.0
"""Seconds after Ctrl-C in which what is being labelled may still be done."""


@dataclass(frozen=True)
class LabelReport:
    """What a call to `label` did: frames newly labelled, frames failed, tasks found done; and the
    seconds that a frame took the teacher, NaN where none was labelled."""

    labelled: int
    failed: int
    tasks_done_before: int
    reasons: dict[str, int] = field(default_factory=dict)
    seconds_each: float = math.nan


def label(
    tasks: Iterable[Task],
    teacher: TeacherSpec,
    path: str | Path,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> LabelReport:
    """Label tasks into the dataset ``path``, going on where an earlier call was stopped.

    A task is a molecule with a `Sampling` (sampled where it is labelled) or with frames. Tasks
    that are in the file already are left out, new ones are added. ``workers`` processes run on
    this machine (default: one a core; 0: in this process), or with ``scheduler`` the workers of
    the Dask cluster at that address. On Ctrl-C what is finished is merged into the file. Raises
    DistillError when the file is foreign or has labels of another teacher, when the teacher
    cannot be loaded or breaks, when the disk is full, and when the file ends without any label.
    """
    if teacher.weights is not None:  # workers may live in another folder
        teacher = replace(teacher, weights=Path(teacher.weights).resolve())
    todo = {task_key(molecule, work): (molecule, work) for molecule, work in tasks}
    with Store(Path(path), teacher) as store:
        for molecule, _ in todo.values():
            store.check(molecule)
        remaining = {key: task for key, task in todo.items() if key not in store.done}
        before = len(todo) - len(remaining)
        counts: Counter[str] = Counter()
        failures: Counter[str] = Counter()
        seconds: list[float] = []

        def finished(key: str, result: MoleculeData) -> None:
            if key not in remaining:  # given up meanwhile, with the rest of its molecule
                return
            keys = [key]
            if any(reason.startswith(TOO_LONG) for reason in result.failed_reason):
                molecule = remaining[key][0]
                keys += [k for k, (m, _) in remaining.items() if m is molecule and k != key]
            for one in keys:
                store.add(one, replace(result, tasks=(one,)))
                _, work = remaining.pop(one)
                counts["labelled"] += len(result)
                seconds.extend([] if result.seconds is None else result.seconds)
                failures.update(result.failed_reason)
                meter.advance(_size(work), sum(failures.values()))

        size = sum(_size(work) for _, work in remaining.values())
        try:
            with Meter(size, progress and bool(remaining)) as meter:
                meter.say(not_as_asked(remaining.values()))
                _run_all(remaining, store, teacher, scheduler, workers, finished)
        finally:
            store.merge()
    _check_any(Path(path))
    mean = sum(seconds) / len(seconds) if seconds else math.nan
    return LabelReport(counts["labelled"], sum(failures.values()), before, dict(failures), mean)


def task_key(molecule: Molecule, work: Work) -> str:
    """A task's name: the same task has the same key in every run and on every machine."""
    digest = hashlib.sha256()
    digest.update(f"{molecule.name}\n{molecule.charge}\n{molecule.spin}\n".encode())
    digest.update(f"{molecule.smiles}\n".encode())
    digest.update(np.asarray(molecule.numbers, dtype="<i8").tobytes())
    if isinstance(work, Sampling):
        text = repr(work)
        for later in (" strained=0,", " stretch=(0.85, 1.35),", " hopped=0.0,", " handed=0,"):
            text = text.replace(later, "")  # files of before there was this are gone on with
        digest.update(text.encode())
        for positions in molecule.positions:
            digest.update(np.asarray(positions, dtype="<f8").tobytes())
    else:
        for frame in work:
            digest.update(f"{frame.source} {float(frame.temperature)}".encode())
            digest.update(np.asarray(frame.positions, dtype="<f8").tobytes())
    return digest.hexdigest()[:24]


def run_task(molecule: Molecule, work: Work, spec: TeacherSpec) -> MoleculeData:
    """Sample (if the task says so) and label one task; what failed is in the result, too.

    Positions are rounded to the float32 of the file before they are labelled, so that energy
    and forces belong to exactly the positions that are stored.
    """
    frames: Sequence[Frame] = []
    failed: list[tuple[np.ndarray, str]] = []
    if isinstance(work, Sampling):
        try:
            frames = sample(molecule, work, _load(spec) if work.md == TEACHER else None)
        except TakesTooLong as error:
            failed.append((np.full((len(molecule), 3), np.nan), f"{TOO_LONG}: {error}"))
        except (DistillError, RuntimeError, ValueError) as error:  # RDKit raises the latter two
            failed.append((np.full((len(molecule), 3), np.nan), f"no geometry: {error}"))
    else:
        frames = work
    good: list[Frame] = []
    for frame in frames:
        positions = np.asarray(frame.positions, dtype=np.float32)
        problem = geometry_problem(positions)
        if problem:
            failed.append((positions, problem))
        else:
            good.append(Frame(positions, frame.source, frame.temperature))
    labels: list[Label] = []
    seconds = 0.0
    if good:
        teacher = _load(spec)
        started = time.monotonic()
        labels = teacher.label([molecule.atoms(f.positions.astype(float)) for f in good])
        seconds = (time.monotonic() - started) / len(good)
    pairs = []
    for frame, found in zip(good, labels, strict=True):
        if found.error is None and np.isfinite(found.energy) and np.isfinite(found.forces).all():
            pairs.append((frame, found))
        else:
            failed.append((frame.positions, found.error or "energy or forces are not finite"))
    return _collect(molecule, work, pairs, failed, seconds)


def _collect(
    molecule: Molecule,
    work: Work,
    pairs: list[tuple[Frame, Label]],
    failed: list[tuple[np.ndarray, str]],
    seconds: float,
) -> MoleculeData:
    shape = (-1, len(molecule), 3)
    stresses = [found.stress for _, found in pairs if found.stress is not None]
    return MoleculeData(
        name=molecule.name,
        smiles=molecule.smiles or "",
        charge=molecule.charge,
        numbers=molecule.numbers,
        positions=np.array([f.positions for f, _ in pairs], dtype=np.float32).reshape(shape),
        energy=np.array([found.energy for _, found in pairs], dtype=float),
        forces=np.array([found.forces for _, found in pairs], dtype=np.float32).reshape(shape),
        temperature=np.array([f.temperature for f, _ in pairs], dtype=np.float32),
        source=np.array([f.source for f, _ in pairs], dtype=object),
        spin=molecule.spin,
        stress=np.array(stresses) if pairs and len(stresses) == len(pairs) else None,
        failed_positions=np.array([p for p, _ in failed]) if failed else None,
        failed_reason=tuple(reason for _, reason in failed),
        tasks=(task_key(molecule, work),),
        mapped_smiles=_mapped(molecule),
        seconds=np.full(len(pairs), seconds),
    )


def _mapped(molecule: Molecule) -> str:
    """The SMILES whose atom maps give the order of the atoms in the file."""
    if molecule.rdmol is None:
        return ""
    mol = Chem.Mol(molecule.rdmol, True)
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(atom.GetIdx() + 1)
    return str(Chem.MolToSmiles(mol))


_teachers: dict[str, Teacher] = {}


def _load(spec: TeacherSpec) -> Teacher:
    """The teacher of this process; loading a big one takes longer than a label."""
    key = repr((spec.name, spec.weights, sorted(spec.options.items())))
    if key not in _teachers:
        _teachers[key] = spec.load()
    return _teachers[key]


def _identify(spec: TeacherSpec) -> tuple[str, str, bool]:
    teacher = _load(spec)
    return teacher.name, teacher.version, teacher.conservative


def _run_all(
    remaining: dict[str, Task],
    store: Store,
    spec: TeacherSpec,
    scheduler: str | None,
    workers: int | None,
    finished: Callable[[str, MoleculeData], None],
) -> None:
    """Run until nothing remains; start again, three times at most, when a process dies."""
    deaths = 0
    while remaining:
        left = len(remaining)
        try:
            with executor(scheduler, workers, left) as (pool, width):
                store.sign(*pool.submit(_identify, spec).result())
                _run(pool, 2 * width, remaining, spec, finished)
        except BrokenExecutor as error:
            deaths = 1 if len(remaining) < left else deaths + 1
            if deaths == 3:
                raise DistillError(
                    "A labelling process died three times without a result: is the memory full? "
                    "Run the same command again with fewer --workers; what is done is kept. "
                    '(A script that labels needs `if __name__ == "__main__":`.)'
                ) from error


def _run(
    pool: Executor,
    width: int,
    remaining: dict[str, Task],
    spec: TeacherSpec,
    finished: Callable[[str, MoleculeData], None],
) -> None:
    """Keep ``width`` tasks under way; a longer queue would only cost memory."""
    queue = iter(list(remaining.items()))
    running: dict[Future[MoleculeData], tuple[str, Molecule]] = {}

    def collect(futures: Iterable[Future[MoleculeData]]) -> None:
        for future in futures:
            key, molecule = running.pop(future)
            try:
                result = future.result()
            except (BrokenExecutor, DistillError):
                raise
            except CancelledError as error:
                raise DistillError(
                    "The Dask cluster went away; run the same command again when it is back, "
                    "what is done is kept."
                ) from error
            except Exception as error:
                if type(error).__name__ == "KilledWorker":  # dask's word for several deaths
                    raise BrokenExecutor from error
                raise DistillError(
                    f"The teacher {spec.name} broke on {molecule.name}: "
                    f"{type(error).__name__}: {error}. What is done is kept."
                ) from error
            finished(key, result)

    try:
        while True:
            for key, (molecule, work) in queue:
                if key not in remaining:
                    continue
                running[pool.submit(run_task, molecule, work, spec)] = (key, molecule)
                if len(running) >= width:
                    break
            if not running:
                return
            collect(wait(running, return_when=FIRST_COMPLETED).done)
    except KeyboardInterrupt:
        # what is about to be done; who leaves the executor ends the others
        done = wait(running, PATIENCE).done
        collect([f for f in done if not f.cancelled() and not f.exception()])
        raise


def _check_any(path: Path) -> None:
    """Raise DistillError, naming the commonest reason, when the file has failures alone."""
    if not path.is_file():  # there was nothing to do
        return
    with Dataset.open(path) as dataset:
        if dataset.frames or not dataset.failures:
            return
        reasons = Counter(reason for molecule in dataset for reason in molecule.failed_reason)
    reason, _ = reasons.most_common(1)[0]
    raise DistillError(f"Not one of {reasons.total()} geometries could be labelled: {reason}.")


def _size(work: Work) -> int:
    """Frames in a task, about."""
    if isinstance(work, Sampling):
        return max(1, work.frames + work.relaxed * (2 + work.pulled) + work.scanned)
    return max(1, len(work))
