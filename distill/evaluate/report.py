"""An evaluation on disk: report.json, force_analysis.png and .svg, analysis.log."""

import json
import math
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from distill.errors import DistillError
from distill.evaluate.figure import force_analysis
from distill.evaluate.frames import LabelledFrame, labeller, read_frames
from distill.evaluate.label_keys import LabelKeys
from distill.evaluate.metrics import DIRECTION_THRESHOLD, compute_metrics
from distill.evaluate.predict import Predictions, predict
from distill.evaluate.units import hints
from distill.student import Student
from distill.teacher.worth import OWN, teacher_of, worth
from distill.whole import check_writable, replace_safely

# report.json comes last: where it is, the others are complete
FILES = ("force_analysis.png", "force_analysis.svg", "analysis.log", "report.json")

LIBRARIES = {
    "distill": "mlff-distiller",
    "torch": "torch",
    "numpy": "numpy",
    "ase": "ase",
    "rdkit": "rdkit",
    "matplotlib": "matplotlib",
}


def evaluate(
    student: Student,
    data: str | Path | Sequence[LabelledFrame],
    out_dir: str | Path,
    *,
    name: str = "",
    overwrite: bool = False,
    batch: int = 32,
    threshold: float = DIRECTION_THRESHOLD,
    progress: bool = True,
    keys: LabelKeys | None = None,
) -> dict[str, Any]:
    """Compare a student with the labels of `data`; write and return the report.

    The four files go to `out_dir`: report.json, force_analysis.png and .svg, analysis.log.

    data: a file (see :func:`read_frames`) or frames in memory. name: of the student, for the
    record. batch: frames evaluated at once. threshold: eV/Å, smaller reference forces have no
    direction. keys: the names of energy and forces in an extended XYZ. The report has the keys of
    :func:`compute_metrics`, and configuration, timing, versions and machine; what is not defined is
    None. Its ``hints`` are sentences on labels that look like another unit or sign; ``agreement``
    says to whom the errors are, and what is known of the teacher's own.

    Raises DistillError when the data is unusable, an element is unknown to the student, or
    `out_dir` holds another report and `overwrite` is not set. Nothing is written in these cases.
    """
    out_dir = Path(out_dir)
    check_out_dir(out_dir, overwrite)
    clock = {"start": time.perf_counter()}
    check_writable(out_dir)
    frames = read_frames(data, keys) if isinstance(data, str | Path) else list(data)
    labelled_by = labeller(data) if isinstance(data, str | Path) else None
    clock["read"] = time.perf_counter()
    predictions = predict(student, frames, batch=batch, progress=progress)
    clock["predict"] = time.perf_counter()
    metrics = compute_metrics(predictions, threshold)
    clock["metrics"] = time.perf_counter()

    stamps = list(clock.items())
    timing = {
        f"{step}_s": round(stamp - stamps[k][1], 4) for k, (step, stamp) in enumerate(stamps[1:])
    }
    timing["frames_per_s"] = predictions.n_frames / (clock["predict"] - clock["read"])
    parameter = next(student.parameters())
    report = {
        **metrics,
        "hints": hints(predictions),
        "agreement": _agreement(student, labelled_by),
        "units": {"force": "eV/Å", "energy": "eV/atom", "angle": "degrees", "temperature": "K"},
        "configuration": {
            "student": name or student.config.size,
            "architecture": student.config.as_dict(),
            "parameters": sum(p.numel() for p in student.parameters()),
            "card": student.card,
            "data": str(data) if isinstance(data, str | Path) else "frames in memory",
            "batch": batch,
            "direction_threshold": threshold,
            "dtype": str(parameter.dtype).removeprefix("torch."),
            "device": str(parameter.device),
        },
        "timing": timing,
        **provenance(),
    }
    return write_report(report, predictions, out_dir, overwrite=overwrite)


def check_out_dir(out_dir: Path, overwrite: bool = False) -> None:
    """Raise DistillError when `out_dir` is a file, or holds a report that must be kept."""
    if out_dir.exists() and not out_dir.is_dir():
        raise DistillError(f"{out_dir} is a file; give a folder for the report.")
    present = [file for file in FILES if (out_dir / file).exists()]
    if present and not overwrite:
        raise DistillError(
            f"{out_dir} already holds {', '.join(present)}; give another folder, or remove it."
        )


def write_report(
    report: dict[str, Any], predictions: Predictions, out_dir: Path, *, overwrite: bool = False
) -> dict[str, Any]:
    """Write the four files, each whole or not at all; returns the report as it stands in the JSON.

    A figure that cannot be drawn is left out, and the report's ``hints`` say so. Raises
    DistillError when the disk refuses (full, read-only).
    """
    check_out_dir(out_dir, overwrite)
    report = _no_nan(report)
    threshold = report["forces"]["direction"]["threshold"]
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out_dir, prefix=".report-") as folder:
            png, svg, log, json_file = (Path(folder) / file for file in FILES)
            try:
                force_analysis(predictions, png, svg, threshold=threshold)
            except Exception as error:
                if isinstance(error, OSError):
                    raise
                report["hints"] = [*report.get("hints", []), f"No figure could be drawn: {error}"]
            log.write_text(format_log(report), encoding="utf-8")
            text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False, default=str)
            json_file.write_text(text + "\n", encoding="utf-8")
            for file in (png, svg, log, json_file):
                if file.exists():
                    replace_safely(file, out_dir / file.name)
                else:
                    (out_dir / file.name).unlink(missing_ok=True)  # of an earlier report
    except OSError as error:
        raise DistillError(
            f"The report cannot be written to {out_dir} ({error.strerror or error}); "
            "free some space there or give another folder."
        ) from error
    return report


def _agreement(student: Student, labelled_by: str | None) -> str:
    """Whose labels these are, and how good they are themselves."""
    teacher = teacher_of(student.card)
    if labelled_by in (None, OWN):
        return f"Errors are to the labels, not to nature. The student's teacher: {worth(teacher)}"
    if labelled_by == teacher:
        return f"Errors are to the student's teacher, not to nature. {worth(teacher)}"
    return (
        f"Errors are to {labelled_by}, not to nature; the student's teacher is "
        f"{teacher or 'not known'}. {worth(labelled_by)}"
    )


def provenance() -> dict[str, Any]:
    """When, where and with what: date, machine and versions."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for library, distribution in LIBRARIES.items():
        try:
            versions[library] = version(distribution)
        except PackageNotFoundError:
            versions[library] = None
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions,
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "system": f"{platform.system()} {platform.machine()}",
        },
    }


def format_log(report: dict[str, Any]) -> str:
    """The report as plain text, as in analysis.log."""
    forces, energies, direction = (
        report["forces"],
        report["energies"],
        report["forces"]["direction"],
    )
    lines = [
        "FORCE ANALYSIS",
        f"{report['n_frames']} frames, {report['n_molecules']} molecules, "
        f"{report['n_atoms']} atoms; forces in eV/Å, energies in eV per atom, angles in degrees.",
        *([report["agreement"]] if "agreement" in report else []),
        *(f"BEWARE: {hint}" for hint in report.get("hints", [])),
        "",
        *_block(
            "Headline",
            {
                "force RMSE": report["force_rmse"],
                "force MAE": report["force_mae"],
                "force R2": report["force_r2"],
                "mean angular error": report["angular_error_deg"],
                "energy MAE per atom": report["energy_mae_per_atom"],
            },
        ),
        *_block("Forces", {k: v for k, v in forces.items() if not isinstance(v, dict)}),
        *_table("Components", forces["components"]),
        *_block("Magnitude |F|, predicted less reference", forces["magnitude"]),
        *_block(
            f"Direction, of the {direction['atoms']} forces above {direction['threshold']:g} eV/Å",
            {k: v for k, v in direction.items() if not isinstance(v, dict)},
        ),
        *_table(
            "Percentiles of absolute errors",
            {
                "component": forces["error_percentiles"]["component"],
                "vector length": forces["error_percentiles"]["vector"],
                "angle": direction["angle_percentiles_deg"],
            },
        ),
        *_block("Energies per atom (relative: less each molecule's mean error)", energies),
        *_table("By element", report["per_element"]),
        *_table("By temperature", report["per_temperature"]),
        *_table("By source", report["per_source"]),
    ]
    if "per_atom" in report:
        lines += _table("By atom (index from 0)", report["per_atom"])
    worst_first = sorted(report["per_molecule"].items(), key=lambda row: -row[1]["rmse"])
    lines += _table("By molecule, worst first", dict(worst_first))
    for section in ("configuration", "timing", "machine", "versions"):
        lines += _block(section.capitalize(), _flat(report[section]))
    lines.append(f"Date: {report['date']}")
    return "\n".join(lines) + "\n"


def _block(title: str, values: dict[str, Any]) -> list[str]:
    width = max((len(key) for key in values), default=0)
    return [
        title,
        *(f"  {k.replace('_', ' '):<{width}}  {_text(v)}" for k, v in values.items()),
        "",
    ]


def _table(title: str, rows: dict[str, dict[str, Any]]) -> list[str]:
    """Rows of one kind; names longer than 60 characters (long SMILES) widen their own row only."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    first = min(60, max((len(name) for name in rows), default=0))
    head = [column.replace("_", " ") for column in columns]
    widths = [max(9, len(text)) for text in head]
    lines = [
        title,
        "  " + " " * first + "".join(f"  {h:>{w}}" for h, w in zip(head, widths, strict=True)),
    ]
    for name, row in rows.items():
        cells = (f"  {_text(row.get(c)):>{w}}" for c, w in zip(columns, widths, strict=True))
        lines.append(f"  {name:<{first}}" + "".join(cells))
    return [*lines, ""]


def _text(value: Any) -> str:
    if value is None:
        return "n/a"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat


def _no_nan(value: Any) -> Any:
    """The same with None for NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {str(key): _no_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_no_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()
