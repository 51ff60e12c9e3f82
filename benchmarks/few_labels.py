"""How good is a student of few labels? Errors against the number of labels.

    python benchmarks/few_labels.py -o docs/few_labels.md   # an hour on one core
    python benchmarks/few_labels.py -o docs/few_labels.md --only paracetamol

For each molecule and each stand-in for a teacher that nobody knows: a pool of geometries from the
MD of the shipped `tiny` at 300, 500 and 700 K, of which the first N are the labels; 200 frames of
its MD from other conformers, at 300 and 500 K, to judge by, and 20 of them displaced. What
`distill train LABELS --from SIZE` does is done for each N: the assistant, then the two small
students; beside it `tiny` taught by the labels alone, gently. The rehearsal, which knows no label,
is shared among the N. A stopped call goes on.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from distill.data.dataset import Dataset
from distill.data.distort import displaced
from distill.data.explore import first_geometries
from distill.data.label import label
from distill.data.molecules import read_sources
from distill.data.sampling import Frame, Sampling, sample
from distill.data.student_md import student_md
from distill.evaluate import read_frames
from distill.evaluate.frames import LabelledFrame
from distill.evaluate.predict import predict
from distill.evaluate.report import provenance
from distill.student import Student, load_student
from distill.teacher.base import TeacherSpec
from distill.train.assistant import FINE_TUNING, SHIPPED, STEPS, Assistant, fitted
from distill.train.config import LEARNING_RATES, TrainConfig
from distill.train.graphs import graphs_of
from distill.train.train import fit_reference, train

KCAL = 23.060548
MOLECULES = {
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "ibuprofen's anion": "CC(C)Cc1ccc(cc1)C(C)C(=O)[O-]",
    "prazosin": "COc1cc2nc(N3CCN(C(=O)c4ccco4)CC3)nc(N)c2cc1OC",
}
"""20, 32 and 49 atoms; prazosin's scaffold is one of validation."""
TEACHERS = {
    "GFN1-xTB": TeacherSpec("gfn1-xtb"),
    "IPEA1-xTB": TeacherSpec(
        "ase:tblite.ase:TBLite", None, {"method": "IPEA1-xTB", "verbosity": "0"}
    ),
}
PLAN = {
    ("paracetamol", "GFN1-xTB"): (25, 100, 400, 10, 5),
    ("prazosin", "GFN1-xTB"): (25, 100, 400),
    ("ibuprofen's anion", "GFN1-xTB"): (25, 100),
    ("paracetamol", "IPEA1-xTB"): (25, 100),
}
TESTED, DISPLACED = 200, 20

Frames = list[LabelledFrame]
Row = dict[str, Any]


def geometries(name: str, pool: int) -> tuple[Any, dict[str, list[Frame]]]:
    """The molecule, and the geometries to learn, to judge by, and these displaced."""
    molecule = read_sources([MOLECULES[name]])[0]
    starts = first_geometries(molecule, 8, 991)
    walks = student_md(
        load_student("tiny"), molecule.numbers, starts, [(300.0, 500.0)[k % 2] for k in range(8)],
        frames=TESTED // 8, steps_between=50, seed=991,
    )  # fmt: skip
    test = [frame for walk in walks for frame in walk]
    rng = np.random.default_rng(5)
    moved = [
        Frame(displaced(f.positions, (0.02, 0.1), rng), "displaced", f.temperature)
        for f in test[:: TESTED // DISPLACED]
    ]
    plan = Sampling(
        frames=pool, conformers=8, temperatures=(300.0, 500.0, 700.0), md="tiny", given=False,
        seed=3,
    )  # fmt: skip
    learned = sample(molecule, plan)
    rng.shuffle(learned)  # type: ignore[arg-type]
    return molecule, {"test": test, "displaced": moved, "pool": learned}


def data(name: str, teacher: str, most: int, folder: Path) -> dict[str, Frames]:
    """Those geometries, labelled."""
    found = {}
    molecule, sets = geometries(name, most)
    for what, frames in sets.items():
        file = folder / f"{name.replace(' ', '-')}-{teacher}-{what}.h5"
        tasks = [(molecule, frames[k : k + 20]) for k in range(0, len(frames), 20)]
        label(tasks, TEACHERS[teacher], file, workers=0, progress=False)
        found[what] = read_frames(file)
        with Dataset.open(file) as dataset:
            record = dataset.teacher
    return found | {"record": record}  # type: ignore[dict-item]


def errors(student: Student, sets: dict[str, Frames]) -> Row:
    """Force RMSE (eV/Å) on MD and median over the displaced; energies on MD (kcal/mol)."""
    student.card = {}
    found = predict(student, sets["test"], progress=False)
    energy = found.energy_pred - found.energy_ref
    moved = predict(student, sets["displaced"], progress=False)
    apart = ((moved.forces_pred - moved.forces_ref) ** 2).reshape(len(sets["displaced"]), -1)
    return {
        "force_rmse": float(np.sqrt(((found.forces_pred - found.forces_ref) ** 2).mean())),
        "displaced": float(np.median(np.sqrt(apart.mean(1)))),
        "energy": float(KCAL * energy.std()),
    }


def untaught(size: str, sets: dict[str, Frames]) -> Row:
    """A shipped student, but for the energies of the elements."""
    student = load_student(size)
    fit_reference(student, graphs_of(sets["pool"][:5], student))
    return errors(student, sets)


def students_of(frames: Frames, sets: dict[str, Any], shared: Path, seed: int = 0) -> Row:
    """Errors of the assistant of these labels, and of those whom it teaches."""
    rows: Row = {}
    with TemporaryDirectory() as scratch:
        out = Path(scratch) / "assistant"
        shutil.copytree(shared, out)
        config = TrainConfig(steps=STEPS["tiny"], learning_rate=LEARNING_RATES["tiny"], seed=seed)
        helper = Assistant(
            SHIPPED, frames, sets["record"], out, config, progress=False, starts=sets["pool"][:8]
        )
        teaching = helper.taught()
        rows["original"] = errors(load_student(str(out / "student.safetensors")), sets)
        free, dear = helper.lessons(teaching)
        for size in ("tiny", "ultra-tiny"):
            student = load_student(size)
            student.reference.copy_(teaching.reference)
            config = TrainConfig(steps=STEPS[size], learning_rate=LEARNING_RATES[size], seed=seed)
            own = graphs_of([*free, *dear], student)
            student = train(student, own, [], Path(scratch) / size, config, progress=False)
            rows[size] = errors(student, sets)
        alone = load_student("tiny")
        part = (500, FINE_TUNING[1], 0.0)
        alone = fitted(alone, frames, [], Path(scratch) / "alone", part, config, progress=False)
        rows["tiny, labels alone"] = errors(alone, sets)
    return rows


def rehearsed(sets: dict[str, Any], folder: Path) -> None:
    """What all assistants of a molecule begin with."""
    config = TrainConfig(steps=STEPS["tiny"])
    Assistant(
        SHIPPED, sets["pool"][:8], sets["record"], folder, config, progress=False,
        starts=sets["pool"][:8],
    ).rehearsed()  # fmt: skip


WHO = ("original", "tiny", "ultra-tiny", "tiny, labels alone")


def page(results: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        "# Few labels\n",
        "`python benchmarks/few_labels.py`: what `distill train LABELS -o DIR --from SIZE` gives "
        "with few labels of a teacher that the shipped students do not know. All errors are to "
        "that teacher, not to nature. Force RMSE in eV/Å on 200 frames of MD at 300 and 500 K "
        "(in brackets: the median over 20 frames whose atoms are displaced by 0.02 to 0.1 Å; "
        "energies on the MD, kcal/mol). 0 labels: the shipped student. `original` is the "
        "assistant; the last column has no assistant: `tiny`, 500 steps at a tenth of the rate.\n",
        f"{results['date']}, {results['machine']['cpu']}, torch {results['versions']['torch']}.\n",
    ]
    lines += [f"{note}\n" for note in results.get("notes", ())]
    for key, rows in results["runs"].items():
        lines += [
            f"## {key}\n",
            "| labels | " + " | ".join(f"`{w}`" if w != WHO[-1] else w for w in WHO) + " |",
            "|---:|" + "---|" * len(WHO),
        ]
        for count, row in sorted(rows.items(), key=lambda item: int(item[0])):
            cells = [shown(row[who]) if who in row else "" for who in WHO]
            lines.append(f"| {count} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def shown(row: Row) -> str:
    """One cell."""
    return f"{row['force_rmse']:.3f} ({row['displaced']:.3f}; {row['energy']:.2f})"


def draw(results: dict[str, Any], file: Path) -> None:
    """A panel for each molecule and teacher."""
    from matplotlib.figure import Figure

    runs = results["runs"]
    figure = Figure(figsize=(2.4 * len(runs), 2.5), layout="constrained")
    panels: Sequence[Any] = figure.subplots(1, len(runs), sharey=True, squeeze=False)[0]
    for axes, (key, rows) in zip(panels, runs.items(), strict=True):
        counts = sorted(map(int, rows))
        for who, style in zip(WHO, ("o-", "s-", "^-", "x:"), strict=True):
            points = [(n, rows[str(n)][who]["force_rmse"]) for n in counts if who in rows[str(n)]]
            axes.plot(*zip(*points), style, ms=3, lw=1, label=who)
        axes.set_xscale("symlog", linthresh=5)
        axes.set(yscale="log", title=key, xlabel="labels")
        axes.title.set_fontsize(7)
    panels[0].set_ylabel("force RMSE (eV/Å)")
    panels[0].legend(frameon=False, fontsize=6)
    figure.savefig(file, dpi=150)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="the Markdown file")
    parser.add_argument("--data", type=Path, default=Path("build/few-labels"))
    parser.add_argument("--only", default="", help="molecules whose name begins so")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.data.mkdir(parents=True, exist_ok=True)
    record = arguments.out.with_suffix(".json")
    results: dict[str, Any] = {"runs": {}, **provenance()}
    if record.is_file():
        before = json.loads(record.read_text())
        results |= {key: before[key] for key in ("runs", "notes") if key in before}
    for (name, teacher), counts in PLAN.items():
        if not name.startswith(arguments.only):
            continue
        rows = results["runs"].setdefault(f"{name}, {teacher}", {})
        if all(str(n) in rows for n in (0, *counts)):
            continue
        sets: dict[str, Any] = data(name, teacher, max(counts) + 20, arguments.data)
        shared = arguments.data / f"{name.replace(' ', '-')}-{teacher}-rehearsed"
        rehearsed(sets, shared)
        for count in (0, *counts):
            if str(count) in rows:
                continue
            if count:
                rows[str(count)] = students_of(sets["pool"][:count], sets, shared)
            else:
                rows["0"] = {size: untaught(size, sets) for size in WHO[:3]}
            record.write_text(json.dumps(results, indent=1) + "\n")
            print(name, teacher, count, json.dumps(rows[str(count)]), flush=True)
            arguments.out.write_text(f"{page(results)}\n![Errors]({arguments.out.stem}.png)\n")
            draw(results, arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
