"""64 threads and 64 workers, asked for on a machine that has few cores."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hard.item import Place, Trial, item
from hard.programs import DISTILL, run, success_problem
from hard.work import label_work, labels, train_work, undisturbed

MANY = 64
CALCULATOR = """
import sys
import numpy as np
from distill.bench.systems import system
from distill_ase import StudentCalculator
atoms = system(2000)
atoms.calc = StudentCalculator("ultra-tiny", threads=int(sys.argv[1]))
np.save("forces.npy", np.vstack([atoms.get_forces(), [[atoms.get_potential_energy(), 0, 0]]]))
"""


@item(
    "many-workers", f"`distill label --workers {MANY}` of {MANY} tasks, OMP_NUM_THREADS={MANY}",
    "it ends; the labels are those of two workers, bit for bit", (1, 1),
)  # fmt: skip
def many_workers(place: Place) -> Iterator[Trial]:
    """Many tasks of few frames, and fewer when it has to be quick."""
    ends = ["O"] if place.quick else ["O", "N", "F", "Cl"]
    molecules = ["C" * n + end for n in range(1, 9) for end in ends]
    for name, workers, threads in (("few", 2, 1), ("many", MANY, MANY)):
        words = [DISTILL, "label", *molecules, "-o", f"{name}.h5", "--frames", 24,
                 "--conformers", 1, "--workers", workers]  # fmt: skip
        if wrong := success_problem(run(words, place.folder, OMP_NUM_THREADS=threads)):
            yield Trial(f"{name} workers: {wrong}")
            return
    same = labels(place.folder / "few.h5") == labels(place.folder / "many.h5")
    yield Trial("" if same else "other labels", "the same labels")


@item(
    "many-threads", f"StudentCalculator(threads={MANY}), OMP_NUM_THREADS={MANY}, 2,000 atoms",
    "it ends; the forces are those of one thread within 1e-4 eV/Å", (1, 1),
)  # fmt: skip
def many_threads(place: Place) -> Iterator[Trial]:
    """All pools of threads are asked."""
    found = []
    for threads in (1, MANY):
        folder = place.folder / str(threads)
        done = run([sys.executable, "-c", CALCULATOR, threads], folder, OMP_NUM_THREADS=threads)
        if wrong := success_problem(done):
            yield Trial(f"{threads} threads: {wrong}")
            return
        found.append(np.load(folder / "forces.npy"))
    off = float(np.abs(found[0] - found[1])[:-1].max())
    yield Trial(f"forces differ by {off:.1e} eV/Å" if off > 1e-4 else "", "the same forces")


@item(
    "many-evaluate", f"`train --threads {MANY}` and `evaluate`, OMP_NUM_THREADS={MANY}",
    "they end; the errors are those of one thread within 1e-4 eV/Å", (1, 1),
)  # fmt: skip
def many_evaluate(place: Place) -> Iterator[Trial]:
    """Training is judged by its files, evaluation by its numbers, too."""
    data, _ = undisturbed(label_work(), place.folder.parent / "undisturbed-label")
    errors = []
    for threads in (1, MANY):
        out = place.folder / f"report-{threads}"
        words = [DISTILL, "evaluate", "ultra-tiny", data, "-o", out]
        done = run(words, place.folder, OMP_NUM_THREADS=threads)
        if wrong := success_problem(done):
            yield Trial(f"evaluate: {wrong}")
            return
        errors.append(json.loads(Path(out, "report.json").read_text())["force_rmse"])
    off = abs(errors[1] - errors[0])
    yield Trial(f"the errors differ by {off:.1e} eV/Å" if off > 1e-4 else "", "the same errors")
    work = train_work(data, 500)  # threads add in another order: other weights are right, too
    out = place.folder / work.out
    words = [*work.command(out, False), "--threads", MANY]
    done = run(words, place.folder, OMP_NUM_THREADS=MANY)
    yield Trial(success_problem(done) or work.problem(out, {}), "trained")
