"""The learning curve as a picture."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from distill.train.metrics_log import read_rows
from distill.whole import whole_file


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
