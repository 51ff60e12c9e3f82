"""Labelling: labels belong to their positions, and no kill loses or doubles one."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from ase import Atoms
from tblite.ase import TBLite

from distill.data import Dataset, Frame, Molecule, Sampling, chunks, from_smiles, label, sample
from distill.data.label import Task, run_task, task_key
from distill.data.sampling import TakesTooLong
from distill.errors import DistillError
from distill.teacher import TeacherSpec

GFN2 = TeacherSpec("gfn2-xtb")
ROOT = Path(__file__).parents[2]

# What the killed processes run: enough tasks that a kill after the first few finds them at work.
SCRIPT = """
import sys
from distill.data import Sampling, chunks, from_smiles, label
from distill.teacher import TeacherSpec

def tasks():
    sampling = Sampling(frames=120, conformers=1)
    return chunks(from_smiles("CC(=O)Nc1ccc(O)cc1"), sampling, size=3)

if __name__ == "__main__":
    try:
        label(tasks(), TeacherSpec(), sys.argv[1], workers=2)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def paracetamol_tasks() -> list[Task]:
    """The tasks of SCRIPT."""
    sampling = Sampling(frames=120, conformers=1)
    return chunks(from_smiles("CC(=O)Nc1ccc(O)cc1"), sampling, size=3)


def contents(path: Path) -> dict[str, tuple[list[str], np.ndarray]]:
    """For every molecule its tasks, and its labels in an order that does not depend on time."""
    found = {}
    with Dataset.open(path) as dataset:
        for data in dataset:
            order = np.argsort(data.energy)
            rows = [data.positions[order], data.forces[order]]
            flat = np.concatenate([a.reshape(len(data), -1) for a in rows], axis=1)
            found[data.name] = (sorted(data.tasks), np.c_[data.energy[order], flat])
    return found


def assert_same(one: Path, other: Path) -> None:
    """Both files hold the same tasks and labels, each once."""
    a, b = contents(one), contents(other)
    assert a.keys() == b.keys()
    for name in a:
        assert a[name][0] == b[name][0]
        assert len(set(a[name][0])) == len(a[name][0])
        assert a[name][1] == pytest.approx(b[name][1], abs=1e-5)


def wait_for(condition: Callable[[], bool], seconds: float = 900) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def parts(path: Path) -> list[Path]:
    return list(Path(f"{path}.parts").glob("*.h5"))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tasks of SCRIPT, labelled without interruption."""
    path = tmp_path_factory.mktemp("reference") / "set.h5"
    label(paracetamol_tasks(), GFN2, path, workers=0, progress=False)
    return path


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., "subprocess.Popen[bytes]"]:
    """Start SCRIPT on a file, in its own process group."""
    (tmp_path / "script.py").write_text(SCRIPT)

    def start(path: Path) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(tmp_path / "script.py"), str(path)]
        return subprocess.Popen(command, env=environment, start_new_session=True)

    return start


def children(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_labels_belong_to_the_stored_positions(tmp_path: Path, tasks: list[Task]) -> None:
    report = label(tasks, GFN2, tmp_path / "set.h5", workers=0, progress=False)
    assert (report.labelled, report.failed, report.tasks_done_before) == (30, 0, 0)
    with Dataset.open(tmp_path / "set.h5") as dataset:
        assert (len(dataset), dataset.frames) == (10, 30)
        assert dataset.teacher.name == "gfn2-xtb" and "tblite" in dataset.teacher.version
        for data in dataset:
            atoms = Atoms(data.numbers, data.positions[-1])
            atoms.calc = TBLite(method="GFN2-xTB", charge=data.charge, verbosity=0)
            assert data.energy[-1] == pytest.approx(atoms.get_potential_energy(), abs=1e-5)
            assert data.forces[-1] == pytest.approx(atoms.get_forces(), abs=1e-4)
    assert not (tmp_path / "set.h5.parts").exists()


def test_mapped_smiles_give_the_order_of_atoms(tmp_path: Path, tasks: list[Task]) -> None:
    from rdkit import Chem

    label(tasks[:3], GFN2, tmp_path / "set.h5", workers=0, progress=False)
    settings = Chem.SmilesParserParams()
    settings.removeHs = False
    with Dataset.open(tmp_path / "set.h5") as dataset:
        for data in dataset:
            mol = Chem.MolFromSmiles(data.mapped_smiles, settings)
            numbers = {a.GetAtomMapNum(): a.GetAtomicNum() for a in mol.GetAtoms()}
            assert [numbers[k + 1] for k in range(len(data.numbers))] == data.numbers.tolist()


def test_processes_give_the_same_labels(tmp_path: Path, tasks: list[Task]) -> None:
    label(tasks[:4], GFN2, tmp_path / "here.h5", workers=0, progress=False)
    label(tasks[:4], GFN2, tmp_path / "there.h5", workers=2, progress=False)
    assert_same(tmp_path / "here.h5", tmp_path / "there.h5")
    assert "OPENBLAS_NUM_THREADS" not in os.environ  # the caller's environment is left alone


def test_the_same_call_again_does_nothing_and_new_tasks_are_added(
    tmp_path: Path, tasks: list[Task]
) -> None:
    path = tmp_path / "set.h5"
    label(tasks[:2], GFN2, path, workers=0, progress=False)
    before = path.read_bytes()
    report = label(tasks[:2], GFN2, path, workers=0, progress=False)
    assert (report.labelled, report.tasks_done_before) == (0, 2)
    assert path.read_bytes() == before
    report = label(tasks[:4], GFN2, path, workers=0, progress=False)
    assert (report.labelled, report.tasks_done_before) == (6, 2)
    label(tasks[:4], GFN2, tmp_path / "once.h5", workers=0, progress=False)
    assert_same(path, tmp_path / "once.h5")


def test_frames_are_labelled_as_given(tmp_path: Path) -> None:
    molecule = from_smiles("CCO")
    frames = [
        Frame(frame.positions, "student-md", 300.0)
        for frame in sample(molecule, Sampling(frames=4, steps_between=10))
    ]
    label([(molecule, frames)], GFN2, tmp_path / "set.h5", workers=0, progress=False)
    with Dataset.open(tmp_path / "set.h5") as dataset:
        data = dataset[molecule.name]
    assert set(data.source) == {"student-md"}
    assert data.positions == pytest.approx(np.array([f.positions for f in frames]), abs=1e-6)


def test_tasks_have_keys_of_their_own(tasks: list[Task]) -> None:
    molecule, sampling = tasks[0]
    frames = sample(molecule, Sampling(frames=2, steps_between=5))
    moved = [Frame(frames[0].positions + 1e-9, "mmff94-md"), *frames[1:]]
    works: list = [sampling, Sampling(seed=1), frames, frames[:1], moved]
    keys = {task_key(molecule, work) for work in works} | {task_key(*tasks[1])}
    assert len(keys) == 6
    assert task_key(molecule, sampling) == task_key(from_smiles("OCC"), sampling)


def test_what_failed_is_recorded_with_the_reason(tmp_path: Path, tasks: list[Task]) -> None:
    molecule = from_smiles("CCO")
    good = sample(molecule, Sampling(frames=2, conformers=1, steps_between=10))
    overlapping, broken = good[0].positions.copy(), good[0].positions.copy()
    overlapping[1] = overlapping[0] + 0.1
    broken[0, 0] = np.nan
    frames = [*good, Frame(overlapping, "student-md"), Frame(broken, "student-md")]
    unbound = Molecule("unbound", np.array([8, 1, 1]))
    for task, labelled, failed in [((molecule, frames), 2, 2), ((unbound, Sampling()), 0, 1)]:
        report = label([task], GFN2, tmp_path / "set.h5", workers=0, progress=False)
        assert (report.labelled, report.failed) == (labelled, failed)
        assert sum(report.reasons.values()) == failed
    with Dataset.open(tmp_path / "set.h5") as dataset:
        data, nothing = dataset[molecule.name], dataset["unbound"]
    assert len(data) == 2
    assert ["overlap" in data.failed_reason[0], "not a number" in data.failed_reason[1]] == [1, 1]
    assert data.failed_positions is not None
    assert data.failed_positions[0] == pytest.approx(overlapping, abs=1e-6)
    assert len(nothing) == 0 and "no geometry" in nothing.failed_reason[0]


def test_what_the_teacher_cannot_converge_is_recorded(tmp_path: Path, tasks: list[Task]) -> None:
    strict = TeacherSpec("gfn2-xtb", options={"max-iterations": "1"})
    with pytest.raises(DistillError, match="Not one of 6 geometries"):
        label(tasks[:2], strict, tmp_path / "set.h5", workers=0, progress=False)
    with Dataset.open(tmp_path / "set.h5") as dataset:
        assert dataset.frames == 0
        for data in dataset:
            assert len(data.failed_reason) == 3


def test_labels_of_two_teachers_are_not_mixed(tmp_path: Path, tasks: list[Task]) -> None:
    path = tmp_path / "set.h5"
    label(tasks[:1], GFN2, path, workers=0, progress=False)
    before = path.read_bytes()
    finer = TeacherSpec("gfn2-xtb", options={"accuracy": "0.1"})
    for other in (TeacherSpec("gfn1-xtb"), finer):
        for count in (1, 2):
            with pytest.raises(DistillError, match="has labels of gfn2-xtb"):
                label(tasks[:count], other, path, workers=0, progress=False)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_foreign_file_is_left_alone(tmp_path: Path, tasks: list[Task]) -> None:
    path = tmp_path / "thesis.h5"
    path.write_text("the only copy")
    with pytest.raises(DistillError, match="not a dataset"):
        label(tasks[:1], GFN2, path, workers=0, progress=False)
    assert path.read_text() == "the only copy"
    assert list(tmp_path.iterdir()) == [path]


def test_another_molecule_of_the_same_name_is_refused(tmp_path: Path, tasks: list[Task]) -> None:
    path = tmp_path / "set.h5"
    label(tasks[:1], GFN2, path, workers=0, progress=False)
    other = from_smiles("CCC", name=tasks[0][0].name)
    with pytest.raises(DistillError, match="another molecule named"):
        label([(other, tasks[0][1])], GFN2, path, workers=0, progress=False)


def test_a_teacher_that_cannot_be_loaded_stops_at_once(tmp_path: Path, tasks: list[Task]) -> None:
    with pytest.raises(DistillError, match="Unknown teacher"):
        label(tasks[:1], TeacherSpec("gfn7-xtb"), tmp_path / "set.h5", workers=0, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path, tasks: list[Task]) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DistillError, match="Cannot write"):
        label(tasks[:1], GFN2, tmp_path / "file" / "set.h5", workers=0, progress=False)


def test_the_rest_of_a_hopeless_molecule_is_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what failed alone is an error in the next run, too, not a success with 0 geometries."""
    tried: list[str] = []

    def late(molecule: Molecule, *_: object) -> list[Frame]:
        tried.append(molecule.name)
        raise TakesTooLong("RDKit finds no conformer in time")

    monkeypatch.setattr(sys.modules["distill.data.label"], "sample", late)
    path, tasks = tmp_path / "set.h5", chunks(from_smiles("CCO"), Sampling(frames=100))
    assert len(tasks) == 5
    for _ in range(2):
        with pytest.raises(DistillError, match="Not one of 5 .*no conformer in time"):
            label(tasks, GFN2, path, workers=0, progress=False)
    assert len(tried) <= 2  # that many are under way at once


def test_two_runs_do_not_write_one_file(tmp_path: Path, tasks: list[Task]) -> None:
    import fcntl

    folder = tmp_path / "set.h5.parts"
    folder.mkdir()
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DistillError, match="Another run"):
            label(tasks[:1], GFN2, tmp_path / "set.h5", workers=0, progress=False)
    assert label(tasks[:1], GFN2, tmp_path / "set.h5", workers=0, progress=False).labelled == 3


def test_an_unreachable_scheduler_is_an_error(tmp_path: Path, tasks: list[Task]) -> None:
    with pytest.raises(DistillError, match="No Dask scheduler answers"):
        label(tasks[:1], GFN2, tmp_path / "set.h5", scheduler="no address", progress=False)


@pytest.mark.slow
def test_kill_and_resume(
    tmp_path: Path, reference: Path, script: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    path = tmp_path / "set.h5"
    process = script(path)
    wait_for(lambda: len(parts(path)) >= 3)
    workers = children(process.pid)
    process.kill()
    process.wait()
    wait_for(lambda: all(gone(pid) for pid in workers))  # no orphans
    kept = {part: part.read_bytes() for part in parts(path)}
    assert 3 <= len(kept) < 40 and not path.exists()
    # as a power failure may leave it: one part cut off, one half-written
    damaged = next(iter(kept))
    damaged.write_bytes(kept[damaged][:900])
    half = damaged.parent / ".half.abc"
    half.mkdir()
    (half / "half.h5").write_bytes(b"half")
    again = script(path)
    assert again.wait() == 0
    assert_same(path, reference)
    report = label(paracetamol_tasks(), GFN2, path, workers=0, progress=False)
    assert (report.labelled, report.tasks_done_before) == (0, 40)


@pytest.mark.slow
def test_kill_between_merging_and_clearing_away(tmp_path: Path, reference: Path) -> None:
    """The worst moment: all labels are in the file and in the parts as well."""
    path, folder = tmp_path / "set.h5", tmp_path / "set.h5.parts"
    copy = tmp_path / "copy"
    done = threading.Event()

    def keep_a_copy() -> None:
        while not done.is_set():
            if len(parts(path)) >= 5 and not copy.exists():
                shutil.copytree(folder, copy)

    watcher = threading.Thread(target=keep_a_copy)
    watcher.start()
    try:
        label(paracetamol_tasks(), GFN2, path, workers=0, progress=False)
    finally:
        done.set()
        watcher.join()
    copy.rename(folder)
    assert len(parts(path)) >= 5
    label(paracetamol_tasks(), GFN2, path, workers=0, progress=False)
    assert_same(path, reference)
    assert not folder.exists()


@pytest.mark.slow
def test_interrupt_leaves_a_file_to_go_on_from(
    tmp_path: Path, reference: Path, script: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    path = tmp_path / "set.h5"
    process = script(path)
    wait_for(lambda: len(parts(path)) >= 2)
    os.killpg(process.pid, signal.SIGINT)  # Ctrl-C reaches the workers, too
    assert process.wait() == 130
    with Dataset.open(path) as dataset:
        assert 6 <= dataset.frames < 120
    assert not Path(f"{path}.parts").exists()
    assert label(paracetamol_tasks(), GFN2, path, workers=0, progress=False).labelled < 120
    assert_same(path, reference)


@pytest.mark.slow
def test_the_death_of_a_worker_is_survived(tmp_path: Path, reference: Path) -> None:
    path = tmp_path / "set.h5"
    killed: list[int] = []

    def murder() -> None:
        wait_for(lambda: len(parts(path)) >= 2)
        killed.append(multiprocessing.active_children()[0].pid or 0)
        os.kill(killed[0], signal.SIGKILL)

    murderer = threading.Thread(target=murder)
    murderer.start()
    label(paracetamol_tasks(), GFN2, path, workers=2, progress=False)
    murderer.join()
    assert len(killed) == 1 and gone(killed[0])
    assert_same(path, reference)


FULL = """
import resource, signal, sys
from distill.data import Sampling, from_smiles, label
from distill.errors import DistillError
from distill.teacher import TeacherSpec

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the limit then gives an OSError, as a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
sampling = Sampling(frames=8, conformers=1, steps_between=5, equilibration=5, seed=1)
try:
    label([(from_smiles("CCO"), sampling)], TeacherSpec(), sys.argv[1], workers=0, progress=False)
except DistillError as error:
    print(error)
    sys.exit(2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1000, 36000])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, tasks: list[Task], limit: int) -> None:
    """No room for a part at the first limit, for the merged file alone at the second."""
    path = tmp_path / "set.h5"
    label(tasks, GFN2, path, workers=0, progress=False)
    before = path.read_bytes()
    assert len(before) > 36000
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FULL, str(path)]
    full = subprocess.run([*command, str(limit)], env=environment, capture_output=True, text=True)
    assert full.returncode == 2, full.stderr
    assert "Cannot write" in full.stdout and "make room" in full.stdout
    assert path.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} <= {path.name, f"{path.name}.parts"}
    roomy = subprocess.run([*command, "100000000"], env=environment, capture_output=True)
    assert roomy.returncode == 0
    with Dataset.open(path) as dataset:
        assert dataset.frames == 30 + 8


@pytest.mark.slow
def test_dask_survives_the_death_of_a_worker(tmp_path: Path, reference: Path) -> None:
    from distributed import Client, LocalCluster

    path = tmp_path / "set.h5"
    killed: list[int] = []
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(2)

        def murder() -> None:
            wait_for(lambda: len(parts(path)) >= 2)
            killed.append(cluster.workers[0].pid)
            os.kill(killed[0], signal.SIGKILL)

        murderer = threading.Thread(target=murder)
        murderer.start()
        address = cluster.scheduler_address
        assert address.startswith("tcp://")
        report = label(paracetamol_tasks(), GFN2, path, scheduler=address, progress=False)
        murderer.join()
    assert len(killed) == 1 and gone(killed[0])
    assert report.labelled == 120
    assert_same(path, reference)


def test_frames_of_the_teacher_s_own_md() -> None:
    plan = Sampling(
        frames=4, temperatures=(300.0, 500.0), conformers=1, displaced=0.0, md="teacher",
        equilibration=20, steps_between=5, thinning=0.0,
    )  # fmt: skip
    data = run_task(from_smiles("CO"), plan, TeacherSpec())
    assert list(data.source) == ["teacher-md"] * 4
    assert sorted(data.temperature) == [300, 300, 500, 500]
    # as far from its minimum as its temperature allows, and not where a force field would be
    assert np.ptp(data.energy) < 0.5 and not data.failed_reason


def test_the_teacher_s_md_without_a_teacher() -> None:
    with pytest.raises(DistillError, match="needs one"):
        sample(from_smiles("CO"), Sampling(frames=1, md="teacher"))
