"""All rows of a benchmark, into a JSON file, a table and a figure."""

import json
from pathlib import Path

from rich.console import Console

from distill.bench.engines import Case, engines
from distill.bench.measure import measure_apart
from distill.bench.report import plot, table
from distill.bench.roofline import peaks
from distill.errors import DistillError
from distill.evaluate.report import provenance
from distill.plugins import of_openmm
from distill.student.file import student_path

TORCH_AT_MOST = 1000
"""Atoms; beyond that the rows through torch alone would take most of the time."""


def cases(
    sizes: list[str], names: list[str], atoms: list[int], threads: list[int], dtypes: list[str],
    devices: list[str],
) -> list[Case]:  # fmt: skip
    """All combinations that make sense; DistillError for a name that nobody knows."""
    for size in sizes:
        student_path(size)
    for name in names:
        if name not in engines():
            raise DistillError(
                f"There is no engine '{name}'; choose from {', '.join(sorted(engines()))}."
            )
    for dtype in dtypes:
        if dtype not in ("float32", "float64"):
            raise DistillError(f"dtype is '{dtype}'; use float32 or float64.")
    for device in devices:
        if device not in ("cpu", "cuda"):
            raise DistillError(f"device is '{device}'; use cpu or cuda.")
    if min(atoms) < 20:
        raise DistillError(f"{min(atoms)} atoms are too few to measure; use 20 or more.")
    found = [
        Case(name, size, n, dtype, device, count)
        for device in devices
        for dtype in dtypes
        for size in sizes
        for n in atoms
        for name in names
        for count in threads
        # several threads only where they are used, CUDA only where it is offered
        if (count == 1 or n >= 200)
        and (n <= TORCH_AT_MOST or not name.startswith("torch"))
        and (device == "cpu" or name in ("ase", "torch"))
    ]
    if not found:
        raise DistillError(
            "Nothing is left to measure: several threads need 200 atoms or more, torch goes up to "
            f"{TORCH_AT_MOST}, and on CUDA there are the engines ase and torch."
        )
    return found


def bench_solvent(
    out: Path, sizes: list[str], atoms: list[int], threads: list[int], devices: list[str],
    seconds: float, console: Console,
) -> None:  # fmt: skip
    """The same of a drug in water, through OpenMM; a step is 2 fs there."""
    for size in sizes:
        student_path(size)
    rows_of = of_openmm("distill.bench.solvent", "`--solvent` needs OpenMM", "solvent")
    place = provenance()
    result = {key: place[key] for key in ("date", "machine", "versions")}
    console.print(result)
    rows: list[dict[str, object]] = []
    with console.status("") as status:
        for row in rows_of(sizes, atoms, threads, devices, seconds, status.update):
            rows.append(row)
            out.write_text(json.dumps({**result, "rows": rows}, indent=2) + "\n")
    console.print(table(rows))
    console.print(f"{out}", highlight=False)


def bench(
    out: Path, sizes: list[str], names: list[str], atoms: list[int], threads: list[int],
    dtypes: list[str], devices: list[str], seconds: float, console: Console,
) -> None:  # fmt: skip
    """Measures, prints and writes; rows so far are kept when it is stopped."""
    rows: list[dict[str, object]] = []
    wanted = cases(sizes, names, atoms, threads, dtypes, devices)
    peak = peaks()
    place = provenance()
    result = {key: place[key] for key in ("date", "machine", "versions")} | {"peaks": peak}
    console.print(result)
    with console.status("") as status:
        for k, case in enumerate(wanted, 1):
            status.update(f"{k} of {len(wanted)}: {case.engine}, {case.size}, {case.atoms} atoms")
            rows.append(measure_apart(case, peak, seconds))
            out.write_text(json.dumps({**result, "rows": rows}, indent=2) + "\n")
    console.print(table(rows))
    plot(rows, out.with_suffix(".png"))
    console.print(f"{out} and {out.with_suffix('.png')}", highlight=False)
