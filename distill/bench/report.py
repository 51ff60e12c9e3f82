"""The rows as a table and as a figure."""

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.table import Table

COLUMNS = {
    "engine": "", "backend": "", "size": "", "precision": "", "device": "",
    "threads": "", "atoms": "",
    "ms_per_step": ".3f", "least": ".3f", "most": ".3f", "ns_per_day": ".1f",
    "added_percent": "+.1f", "atom_steps_per_s": ",.0f", "peak_memory_mb": ",.0f",
    "times_roofline": ".2f", "note": "",
}  # fmt: skip
COLOURS = {"ultra-tiny": "#0072b2", "tiny": "#d55e00", "original": "#009e73"}
STYLES = {"kernel": "-", "openmm-reference": "--", "ase": ":", "torch": "-."}


def table(rows: list[dict[str, Any]]) -> Table:
    """For rich to print."""
    used = [c for c in COLUMNS if any(c in row for row in rows)]
    # what is the same in all rows goes into the title: the table is wide enough without it
    same = [
        c
        for c in ("backend", "precision", "device", "threads")
        if len({r.get(c) for r in rows}) == 1 and c in rows[0]
    ]
    title = ", ".join(f"{c} {rows[0][c]}" for c in same)
    used = [c for c in used if c not in same]
    found = Table(*(c.replace("_", " ") for c in used), title=title)
    for row in rows:
        found.add_row(*(format(row[c], COLUMNS[c]) if c in row else "" for c in used))
    return found


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """ns/day against the number of atoms: a line for each size and engine, float32, one thread."""
    figure = Figure(figsize=(5.2, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    lines: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in rows:
        if row["threads"] == 1 and row["precision"] == "float32" and "ns_per_day" in row:
            lines.setdefault((row["size"], row["engine"]), []).append(
                (row["atoms"], row["ns_per_day"])
            )
    for (size, engine), points in lines.items():
        points.sort()
        axes.loglog(
            *zip(*points), marker="o", markersize=3, linewidth=1.2,
            color=COLOURS.get(size), linestyle=STYLES.get(engine, (0, (1, 3))),
            label=f"{size}, {engine}",
        )  # fmt: skip
    axes.set_xlabel("atoms")
    axes.set_ylabel("ns/day at 1 fs, one thread")
    axes.grid(True, which="major", linewidth=0.4, alpha=0.5)
    if lines:
        axes.legend(fontsize=6, frameon=False)
    figure.savefig(path, dpi=200)
