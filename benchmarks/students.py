"""The shipped students beside each other: tables and figures of docs/students.md.

    make students
    python benchmarks/students.py build/students -o docs/students.md

Takes the reports that `python -m distill.pretrained.make` left in its folder (the test set is
evaluated there, once) and, where they are, `chemistry.json`, `distributions.json`,
`stability-SIZE.json` and `uncertainty.json` of the scripts beside this one. Figures and logs go to
a folder beside the page.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from distill import load_student
from distill.student import SIZES
from distill.student.file import student_path

EARLIER = {
    "original": ("427K", "0.9958"),
    "tiny": ("77K", "0.379"),
    "ultra-tiny": ("21K", "0.150"),
}
"""Parameters and force R2 of the system before this one, on the one molecule it was trained on."""
ASKED = {"original": (0.05, 0.6), "tiny": (0.075, 1.0), "ultra-tiny": (0.10, 1.4)}
"""Force RMSE (eV/Å) and energy RMSE within a molecule (meV/atom) that were asked for."""


def table(columns: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def errors(reports: dict[str, dict]) -> str:
    """Force and energy errors of each size on one set of frames."""
    columns = [
        "student", "force RMSE (eV/Å)", "MAE", "R2", "angle (°)",
        "energy RMSE within a molecule (meV/atom)",
    ]  # fmt: skip
    rows = [
        [
            f"`{size}`",
            f"{r['force_rmse']:.4f}",
            f"{r['force_mae']:.4f}",
            f"{r['force_r2']:.5f}",
            f"{r['angular_error_deg']:.2f}",
            f"{1000 * r['energies']['relative_rmse_per_atom']:.2f}",
        ]
        for size, r in reports.items()
    ]
    return table(columns, rows)


def beside_the_earlier(drug: dict[str, dict]) -> str:
    """The same setting: one molecule of 50 atoms; there trained on, here not."""
    columns = [
        "size", "parameters", "file (kB)", "force R2", "angle (°)", "earlier: parameters",
        "earlier: force R2",
    ]  # fmt: skip
    rows = []
    for size, report in drug.items():
        parameters = sum(p.numel() for p in load_student(size).parameters())
        kilobytes = student_path(size).stat().st_size / 1000
        mine = [f"{parameters:,}", f"{kilobytes:.0f}", f"{report['force_r2']:.4f}"]
        angle = f"{report['angular_error_deg']:.1f}"
        rows.append([f"`{size}`", *mine, angle, *EARLIER[size]])
    return table(columns, rows)


def by(reports: dict[str, dict], key: str) -> str:
    """Force RMSE of groups of frames or atoms."""
    groups = list(next(iter(reports.values()))[key])
    rows = [
        [f"`{size}`", *(f"{report[key][group]['rmse']:.3f}" for group in groups)]
        for size, report in reports.items()
    ]
    return table(["force RMSE (eV/Å)", *groups], rows)


def by_molecule(reports: dict[str, dict]) -> str:
    """How the error is spread over molecules, and the five worst of each size."""
    rows = []
    for size, report in reports.items():
        errors = {name: m["rmse"] for name, m in report["per_molecule"].items()}
        worst = sorted(errors, key=lambda name: -errors[name])[:5]
        rows.append(
            [
                f"`{size}`",
                f"{np.median(list(errors.values())):.3f}",
                f"{np.percentile(list(errors.values()), 90):.3f}",
                ", ".join(f"{name} {errors[name]:.2f}" for name in worst),
            ]
        )
    columns = ["force RMSE of a molecule (eV/Å)", "median", "nine of ten below", "the worst"]
    return table(columns, rows)


def means(first: str, names: dict[str, str], summary: dict[str, dict]) -> str:
    """A row of each that was judged. names: the columns' titles by their keys."""
    rows = [
        [f"`{who}`" if who in SIZES else who, *(f"{row[key]:.3g}" for key in names)]
        for who, row in summary.items()
    ]
    return table([first, *names.values()], rows)


def chemistry(found: dict[str, Any]) -> str:
    """What `chemistry.py` measured."""
    names = {
        "rmsd": "RMSD of minima (Å)",
        "frequency_mae": "frequencies, MAE (cm-1)",
        "conformer_spearman": "conformers, Spearman",
        "conformer_mae": "conformers, MAE (kcal/mol)",
        "torsion_rmse": "torsion, RMSE (kcal/mol)",
    }
    most = max(molecule["atoms"] for molecule in found["molecules"].values())
    return (
        f"`benchmarks/chemistry.py`: the first {len(found['molecules'])} test drugs of at most "
        f"{most} atoms, means over them.\n\n" + means("student", names, found["summary"])
    )


def distributions(found: dict[str, Any]) -> str:
    """What `distributions.py` measured."""
    names = {
        "bonds_mean_error": "mean of a bond, error (Å)",
        "bonds_overlap": "bonds' histograms in common",
        "angles_mean_error": "mean of an angle, error (°)",
        "angles_overlap": "angles' histograms in common",
    }
    return (
        f"`benchmarks/distributions.py`: {', '.join(found['molecules'])}, "
        f"{found['picoseconds']:g} ps at 300 K, and the first "
        "half of the teacher's frames beside the second:\n\n"
        + means("against the teacher", names, found["summary"])
    )


def stability(found: dict[str, dict]) -> str:
    """What `md_stability.py` measured."""
    keys = list(dict.fromkeys(key for f in found.values() for key in f["summary"]))
    rows = [
        [
            f"`{size}`",
            *(shown(report["summary"].get(key, "")) for key in keys),
            " and ".join(
                sorted({f"{m['nve']['picoseconds']:g}" for m in report["molecules"].values()})
            ),
        ]
        for size, report in found.items()
    ]
    return table(["student", *keys, "NVE (ps)"], rows)


def fine_tuning(found: dict[str, Any]) -> str:
    """What `fine_tuning.py` measured."""
    rows = [
        [name, *(f"{row[key]:.4f}" for key in ("force_rmse", "force_r2", "angular_error_deg"))]
        for name, row in found.items()
        if isinstance(row, dict) and "force_rmse" in row
    ]
    return (
        "`benchmarks/fine_tuning.py`: `distill run` from a shipped student and from nothing, "
        f"judged on the teacher's own MD. {found['date']}, {found['machine']['cores']} cores of "
        f"{found['machine']['cpu']}.\n\n"
        + table(["`distill run`", "force RMSE (eV/Å)", "R2", "angle (°)"], rows)
    )


def uncertainty(found: dict[str, dict]) -> str:
    """What `uncertainty.py` measured: by one student, frame by frame; by two, by molecule."""
    keys = list(next(iter(found.values())))
    two = keys.index("check: spearman")

    def columns(keys: list[str]) -> str:
        rows = [[f"`{size}`", *(shown(row[key]) for key in keys)] for size, row in found.items()]
        return table(["student", *keys], rows)

    return f"{columns(keys[:two])}\nAnd by `distill check`:\n\n{columns(keys[two:])}"


def shown(value: Any) -> str:
    """Floats to four digits."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def read(folder: Path, pattern: str) -> dict[str, dict]:
    """The JSON files of each size that are there."""
    files = {size: folder / pattern.format(size) for size in SIZES}
    return {size: json.loads(f.read_text()) for size, f in files.items() if f.is_file()}


def document(folder: Path, figures: Path) -> str:
    """The whole page; copies what it shows to ``figures``."""
    test, drug = (read(folder, f"{kind}-{{}}/report.json") for kind in ("held-out", "one-drug"))
    first = next(iter(test.values()))
    parts = [
        "# The shipped students",
        "Made by `make students` (`distill/pretrained/recipe.py` is the recipe), tabulated by "
        "`benchmarks/students.py`. The teacher is GFN2-xTB; no test drug shares a scaffold with "
        "what was trained on. All errors are to the teacher, [whose own]"
        "(teachers.md#what-the-teachers-themselves-are-good-for) come on top.\n",
        f"{first['date']}, {first['machine']['cpu']}, torch {first['versions']['torch']}.\n",
        "## On the test set",
        f"{first['n_molecules']} drugs, {first['n_frames']} geometries at 300 and 500 K. The aims "
        "were "
        + ", ".join(f"{f:g} eV/Å and {e:g} meV/atom (`{s}`)" for s, (f, e) in ASKED.items())
        + ".\n",
        errors(test),
        by(test, "per_source"),
        by(test, "per_temperature"),
        by(test, "per_element"),
        by_molecule(test),
        "## On one drug of 50 atoms, beside the earlier system",
        "The earlier system was trained on its molecule; here the drug (sparfloxacin) is of the "
        "test set, on the teacher's own MD.\n",
        errors(drug),
        beside_the_earlier(drug),
    ]
    if (file := folder / "chemistry.json").is_file():
        parts += ["## Chemistry", chemistry(json.loads(file.read_text()))]
    if (file := folder / "distributions.json").is_file():
        parts += ["## Bonds and angles in MD", distributions(json.loads(file.read_text()))]
    if found := read(folder, "stability-{}.json"):
        parts += [
            "## 100 ps of MD of test drugs",
            "The first 24, as far as they were run: Langevin MD, and NVE at 0.5 fs. A drug "
            "is whole when no bond has been half as long again as at the start.\n",
            stability(found),
        ]
    if (file := folder / "fine-tuning" / "fine-tuning.json").is_file():
        parts += [
            "## From a shipped student to one drug",
            fine_tuning(json.loads(file.read_text())),
        ]
    if (file := folder / "uncertainty.json").is_file():
        parts += ["## Uncertainty", uncertainty(json.loads(file.read_text())["students"])]
    parts.append("## Figures")
    figures.mkdir(parents=True, exist_ok=True)
    for kind in ("held-out", "one-drug"):
        for size in test:
            source = folder / f"{kind}-{size}"
            with Image.open(source / "force_analysis.png") as image:  # a quarter of the size so
                image.convert("RGB").quantize(128).save(figures / f"{kind}-{size}.png")
            shutil.copy(source / "analysis.log", figures / f"{kind}-{size}.log")
            parts.append(
                f"`{size}`, {'the test set' if kind == 'held-out' else 'sparfloxacin'} "
                f"([log]({figures.name}/{kind}-{size}.log)):\n\n"
                f"![Force analysis]({figures.name}/{kind}-{size}.png)\n"
            )
    return "\n".join(parts)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="that `make students` made")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the Markdown file")
    arguments = parser.parse_args()
    arguments.out.write_text(document(arguments.folder, arguments.out.with_suffix("")))


if __name__ == "__main__":
    main()
