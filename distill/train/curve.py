"""Learning curves: errors against the time of training, and against the number of labels."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from distill.train.metrics_log import read_rows
from distill.whole import whole_file

Point = dict[str, float]


def errors_by_labels(metrics: Path) -> list[Point]:
    """From metrics.csv, where labels came in during the training: ``labels`` that were there, and
    ``force_rmse`` (eV/Å) on those set aside, each time that they were a tenth more."""
    found: list[Point] = []
    for row in read_rows(metrics):
        if not row.get("labels") or not row.get("valid_force_rmse"):
            continue
        labels, error = float(row["labels"]), float(row["valid_force_rmse"])
        if found and labels < 1.1 * found[-1]["labels"]:
            continue
        found.append({"labels": labels, "force_rmse": error})
    return found


def plot_labels(points: Sequence[Point], picture: Path) -> None:
    """Force RMSE (eV/Å) against the number of labels learned, 0 among them."""
    figure = Figure(figsize=(4.5, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([p["labels"] for p in points], [p["force_rmse"] for p in points], "o-")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xticks([p["labels"] for p in points], [f"{p['labels']:.0f}" for p in points])
    axes.minorticks_off()
    axes.set_xlim(-0.1 if points[0]["labels"] == 0 else 0.9 * points[0]["labels"], None)
    axes.set(xlabel="labels learned", ylabel="force RMSE on others (eV/Å)", yscale="log")
    axes.grid(alpha=0.3, which="both")
    with whole_file(picture) as place:
        figure.savefig(place, dpi=150)


def plot_curve(metrics: Path, picture: Path) -> None:
    """Force RMSE of training and validation against minutes, from metrics.csv."""
    rows = read_rows(metrics)
    figure = Figure(figsize=(4.5, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, colour in (("train", "#0072B2"), ("valid", "#D55E00")):
        key = f"{name}_force_rmse"
        points = [(float(r["minutes"]), float(r[key])) for r in rows if r.get(key)]
        if points:
            axes.plot(*zip(*points), color=colour, label=f"{name} (last {points[-1][1]:.4f})")
    axes.set(xlabel="training time (min)", ylabel="force RMSE (eV/Å)", yscale="log")
    axes.grid(alpha=0.3, which="both")
    if axes.lines:
        axes.legend(frameon=False)
    with whole_file(picture) as place:
        figure.savefig(place, dpi=150)
