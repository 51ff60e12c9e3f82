"""The six-panel force analysis: one figure a paper can print."""

from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
)

from distill.elements import symbols
from distill.evaluate.metrics import DIRECTION_THRESHOLD, angular_errors, force_metrics
from distill.evaluate.predict import Predictions

MM = 1 / 25.4  # inches
SIZE = (180 * MM, 118 * MM)  # two columns of a journal

STYLE: Any = {  # matplotlib's type lists every parameter there is
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
    "mathtext.fontset": "dejavusans",
    "font.size": 6.5,
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "xtick.direction": "out",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 6,
    "legend.handlelength": 1.2,
    "svg.hashsalt": "distill",
}

# Okabe and Ito's palette, safe for colour-blind readers; elements near their customary colours.
BLUE, VERMILLION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8A8A8A"
AXES = (BLUE, VERMILLION, GREEN)
ELEMENT_COLOURS = {
    1: "#B5B5B5", 6: "#333333", 7: "#0072B2", 8: "#D55E00", 9: "#56B4E9",
    15: "#E69F00", 16: "#F0E442", 17: "#009E73", 35: "#8C510A", 53: "#CC79A7",
}  # fmt: skip
DENSITY = LinearSegmentedColormap.from_list("density", ["#D6E6F4", "#7FB5DA", "#2F7EBC", "#08306B"])
BOX = {"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": "#CCCCCC", "linewidth": 0.5}

FEW_POINTS = 1500  # up to here points are drawn one by one, above it as a density
MOST_POINTS = 60_000  # of panel (b); the largest errors are kept
MOST_BARS = 150  # atoms of one molecule that have a bar each


def force_analysis(
    predictions: Predictions,
    png: Path,
    svg: Path | None = None,
    *,
    title: str = "",
    threshold: float = DIRECTION_THRESHOLD,
) -> None:
    """Draw the six panels to a PNG (300 dpi) and, if asked, an SVG; 180 mm wide.

    (a) magnitudes, (b) components, (c) error per atom, (d) error by element, (e) angular errors of
    forces above `threshold` (eV/Å), (f) error against magnitude. The error of an atom is the length
    of its error vector, |F_pred - F_ref|, in eV/Å.
    """
    with matplotlib.rc_context(STYLE):
        figure = draw(predictions, title=title, threshold=threshold)
        figure.savefig(png, dpi=300, format="png")
        if svg is not None:
            figure.savefig(svg, dpi=300, format="svg", metadata={"Date": None})


def draw(predictions: Predictions, *, title: str, threshold: float) -> Figure:
    """The figure itself."""
    reference, predicted = predictions.forces_ref, predictions.forces_pred
    metrics = force_metrics(reference, predicted, threshold)
    error = np.linalg.norm(predicted - reference, axis=1)
    size = np.linalg.norm(reference, axis=1)

    layout = ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.05, wspace=0.03, hspace=0.04)
    figure = Figure(figsize=SIZE, layout=layout)
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, fontsize=7.5)
    a, b, c, d, e, f = figure.subplots(2, 3).ravel()
    _magnitudes(a, size, np.linalg.norm(predicted, axis=1), metrics)
    _components(b, reference, predicted, metrics)
    _per_atom(c, predictions, error)
    _by_element(d, predictions.numbers, error)
    _angles(e, angular_errors(reference, predicted)[size > threshold], threshold)
    _error_against_size(f, size, error)
    for letter, axes in zip("abcdef", (a, b, c, d, e, f), strict=True):
        axes.set_title(f"({letter})", loc="left", fontsize=8, fontweight="bold", y=1.02, pad=0)
        axes.set_box_aspect(1)
    return figure


def _magnitudes(axes: Axes, size: np.ndarray, predicted: np.ndarray, metrics: dict) -> None:
    low, high = 0.0, _above(max(size.max(), predicted.max()))
    axes.plot([low, high], [low, high], color="black", lw=0.6, ls="--", zorder=3)
    if len(size) > FEW_POINTS:
        _density(axes, size, predicted, extent=(low, high, low, high))
    else:
        axes.scatter(size, predicted, s=5, color=BLUE, alpha=0.5, lw=0, rasterized=True)
    _square(axes, low, high)
    axes.set_xlabel("Reference |F| (eV/Å)")
    axes.set_ylabel("Predicted |F| (eV/Å)")
    magnitude = metrics["magnitude"]
    _note(
        axes,
        f"$R^2$ = {_r2(magnitude['r2'])}\nRMSE = {_number(magnitude['rmse'])} eV/Å\n"
        f"MAE = {_number(magnitude['mae'])} eV/Å",
    )


def _components(axes: Axes, reference: np.ndarray, predicted: np.ndarray, metrics: dict) -> None:
    high = _above(max(np.abs(reference).max(), np.abs(predicted).max()))
    axes.plot([-high, high], [-high, high], color="black", lw=0.6, ls="--", zorder=3)
    x, y, axis = reference.ravel(), predicted.ravel(), np.tile(np.arange(3), len(reference))
    rng = np.random.default_rng(0)
    order = rng.permutation(len(x))
    if len(x) > MOST_POINTS:
        worst = np.argsort(np.abs(y - x))[-MOST_POINTS // 10 :]
        order = rng.permutation(np.unique(np.concatenate([order[:MOST_POINTS], worst])))
    few = len(x) <= FEW_POINTS
    # one scatter in random order: no component hides another
    axes.scatter(
        x[order],
        y[order],
        s=4 if few else 1.5,
        c=np.array(AXES)[axis[order]],
        alpha=0.6 if few else 0.4,
        lw=0,
        rasterized=True,
    )
    _square(axes, -high, high)
    axes.set_xlabel(r"Reference $F_{x,y,z}$ (eV/Å)")
    axes.set_ylabel(r"Predicted $F_{x,y,z}$ (eV/Å)")
    _note(
        axes,
        f"$R^2$ = {_r2(metrics['r2'])}\nRMSE = {_number(metrics['rmse'])} eV/Å\n"
        f"MAE = {_number(metrics['mae'])} eV/Å",
    )
    handles = [Line2D([], [], marker="o", ls="", ms=3, color=colour) for colour in AXES]
    _above_panel(axes, handles, ["$F_x$", "$F_y$", "$F_z$"])

    error = predicted - reference
    edge = float(np.percentile(np.abs(error), 99))
    if edge > 0:
        inside = axes.inset_axes((0.58, 0.13, 0.39, 0.3))
        for k, colour in enumerate(AXES):
            inside.hist(
                error[:, k],
                bins=np.linspace(-edge, edge, _bins(error[:, k], 30) + 1).tolist(),
                histtype="step",
                color=colour,
                lw=0.7,
            )
        inside.set_xlim(-edge, edge)
        inside.set_yticks([])
        inside.spines["left"].set_visible(False)
        inside.xaxis.set_major_locator(MaxNLocator(3, symmetric=True))
        inside.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _minus(f"{x:g}")))
        inside.tick_params(labelsize=5, length=1.5, pad=1, width=0.4)
        inside.set_title(r"$\Delta F_{x,y,z}$ (eV/Å)", fontsize=5, pad=1.5)


def _per_atom(axes: Axes, predictions: Predictions, error: np.ndarray) -> None:
    numbers = predictions.single_molecule()
    if numbers is None or len(numbers) > MOST_BARS:
        _distribution(axes, predictions, error)
    else:
        _bars(axes, numbers, error.reshape(-1, len(numbers)))


def _bars(axes: Axes, numbers: np.ndarray, error: np.ndarray) -> None:
    """One bar for each atom of the one molecule: RMS over frames, a dot at the 95th percentile."""
    index = np.arange(len(numbers))
    rms = np.sqrt((error**2).mean(0))
    colours = [_colour(z) for z in numbers]
    axes.bar(index, rms, width=0.82, color=colours, lw=0)
    top = rms
    if len(error) > 1:
        top = np.percentile(error, 95, axis=0)
        axes.plot(
            index, top, ls="", marker="_", ms=2.5, mew=0.7, color="black", label="95th percentile"
        )
        axes.add_artist(axes.legend(loc="upper right", borderaxespad=0.1, handletextpad=0.1))
    axes.set_xlim(-0.8, len(numbers) - 0.2)
    axes.set_ylim(0, _above(max(top.max(), rms.max()), 1.2))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    axes.set_xlabel("Atom index (from 0)")
    axes.set_ylabel("RMS force error (eV/Å)" if len(error) > 1 else "Force error (eV/Å)")
    elements = np.unique(numbers)
    squares = [Line2D([], [], marker="s", ls="", ms=3.5, color=_colour(z)) for z in elements]
    _above_panel(axes, squares, [symbols([z]) for z in elements])


def _distribution(axes: Axes, predictions: Predictions, error: np.ndarray) -> None:
    """How errors spread over atoms, and over molecules when there are enough of them."""
    axes.set_xlabel(r"Force error |$\Delta$F| (eV/Å)")
    axes.set_ylabel("Density (per decade)")
    if error.max() <= 0:
        axes.bar([0], [1], width=0.1, color=BLUE, alpha=0.6)
        return
    shown = np.maximum(error, _floor(error))
    edges = np.linspace(
        np.log10(shown.min()) - 0.01, np.log10(shown.max()) + 0.01, _bins(shown) + 1
    )
    axes.set_xscale("log")
    _, _, patches = _log_histogram(axes, shown, edges, color=BLUE, alpha=0.55)
    handles: list[Any] = [patches[0]]
    labels = ["atoms"]
    _, molecule = np.unique(predictions.names, return_inverse=True)
    of_atom = molecule[predictions.frame_of_atom]
    rms = np.sqrt(np.bincount(of_atom, weights=error**2) / np.bincount(of_atom))
    if len(rms) >= 10:
        rms = np.maximum(rms, shown.min())
        _log_histogram(axes, rms, edges[::3], histtype="step", color=VERMILLION, lw=1.0)
        handles.append(Line2D([], [], color=VERMILLION, lw=1.0))
        labels.append("molecules (RMS)")
    for q, style, label in ((50, "-", "median atom"), (95, ":", "95% of atoms")):
        value = float(np.percentile(shown, q))
        handles.append(axes.axvline(value, ymax=0.8, color="black", lw=0.7, ls=style))
        labels.append(label)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.2)  # room for the legend
    _plain_log(axes.xaxis)
    axes.legend(
        handles,
        labels,
        loc="upper center",
        ncols=2,
        fontsize=5.5,
        borderaxespad=0,
        columnspacing=0.8,
    )


def _log_histogram(axes: Axes, values: np.ndarray, edges: np.ndarray, **style: Any) -> Any:
    """A density in log10(values): areas are one, so that histograms of unlike bins compare."""
    weights = np.full(len(values), 1 / (len(values) * (edges[1] - edges[0])))
    return axes.hist(values, bins=(10.0**edges).tolist(), weights=weights, **style)


def _by_element(axes: Axes, numbers: np.ndarray, error: np.ndarray) -> None:
    """Boxes from the quartiles, whiskers from 5 to 95 %, a diamond at the mean."""
    elements, counts = np.unique(numbers, return_counts=True)
    logarithmic = error.max() > 0
    shown = np.maximum(error, _floor(error))
    boxes = []
    for z in elements:
        of_element = shown[numbers == z]
        low, q1, median, q3, high = np.percentile(of_element, [5, 25, 50, 75, 95])
        boxes.append(
            {
                "whislo": low,
                "q1": q1,
                "med": median,
                "q3": q3,
                "whishi": high,
                "mean": of_element.mean(),
                "fliers": [],
            }
        )
    drawn = axes.bxp(
        boxes,
        positions=range(len(elements)),
        widths=0.6,
        showmeans=True,
        patch_artist=True,
        medianprops={"color": "black", "lw": 0.9},
        meanprops={"marker": "D", "ms": 2.5, "mfc": "white", "mec": "black", "mew": 0.5},
        boxprops={"lw": 0.5},
        whiskerprops={"lw": 0.6},
        capprops={"lw": 0.6},
    )
    for patch, z in zip(drawn["boxes"], elements, strict=True):
        patch.set_facecolor(_colour(z))
        patch.set_alpha(0.75)
    if logarithmic:
        axes.set_yscale("log")
        _plain_log(axes.yaxis)
    else:
        axes.set_ylim(0, 1)
    axes.set_xlim(-0.7, len(elements) - 0.3)
    axes.set_xticks(
        range(len(elements)),
        [f"{symbols([z])}\n{_count(n)}" for z, n in zip(elements, counts, strict=True)],
        fontsize=6 if len(elements) < 7 else 4.6,
    )
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("Element, number of forces")
    axes.set_ylabel(r"Force error |$\Delta$F| (eV/Å)")


def _angles(axes: Axes, angles: np.ndarray, threshold: float) -> None:
    axes.set_xlabel(f"Angular error (degrees), |F| > {threshold:g} eV/Å")
    axes.set_ylabel("Share of forces")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g}%"))
    if not len(angles):
        axes.set_xlim(0, 180)
        axes.text(
            0.5,
            0.5,
            f"no reference force\nabove {threshold:g} eV/Å",
            transform=axes.transAxes,
            ha="center",
            va="center",
        )
        return
    # the tail is long: show 98 % of it, the curve's right end says so
    high = float(np.clip(np.percentile(angles, 98), 0.01, 180))
    bins = np.linspace(0, high, _bins(angles) + 1).tolist()
    axes.hist(
        angles, bins=bins, weights=np.full(len(angles), 1 / len(angles)), color=BLUE, alpha=0.55
    )
    axes.set_xlim(0, high)
    cumulative = axes.twinx()
    cumulative.spines["right"].set_visible(True)
    ordered = np.sort(angles)
    at = np.linspace(0, high, 200)
    cumulative.plot(
        at, np.searchsorted(ordered, at, side="right") / len(ordered), color=VERMILLION, lw=1.0
    )
    cumulative.set_ylim(0, 1.02)
    cumulative.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    cumulative.set_ylabel("Cumulative share", color=VERMILLION)
    cumulative.tick_params(axis="y", colors=VERMILLION)
    handles = []
    for value, style in ((np.median(angles), "-"), (angles.mean(), ":")):
        handles.append(Line2D([], [], color="black", lw=0.7, ls=style))
        if value < high:
            axes.axvline(float(value), color="black", lw=0.7, ls=style)
    labels = [f"median {_degrees(np.median(angles))}", f"mean {_degrees(angles.mean())}"]
    _above_panel(axes, handles, labels, handletextpad=0.3)


def _error_against_size(axes: Axes, size: np.ndarray, error: np.ndarray) -> None:
    axes.set_xlabel("Reference |F| (eV/Å)")
    axes.set_ylabel(r"Force error |$\Delta$F| (eV/Å)")
    visible = (size > 0) & (size >= _floor(size)) & (error > 0) & (error >= _floor(error))
    if not visible.any():
        axes.scatter(size, error, s=5, color=BLUE, alpha=0.5, lw=0)
        axes.set_ylim(0, _above(error.max()))
        return
    x, y = size[visible], error[visible]
    axes.set_xscale("log")
    axes.set_yscale("log")
    if len(x) > FEW_POINTS:
        _density(axes, x, y, log=True)
    else:
        axes.scatter(x, y, s=5, color=BLUE, alpha=0.4, lw=0, rasterized=True)
    left, right = x.min() / 1.1, x.max() * 1.1
    low, high = y.min() / 1.3, y.max() * 1.3
    high *= (high / low) ** 0.16  # room for the legend
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
    for axis in (axes.xaxis, axes.yaxis):
        _plain_log(axis)
    for share in (1.0, 0.1, 0.01):  # relative errors, to guide the eye
        axes.plot([left, right], [left * share, right * share], color=GREY, lw=0.5, zorder=2)
        start, stop = max(left, low / share), min(right, high / share)
        if stop / start > (right / left) ** 0.2:  # enough of the line is inside
            # near its lower end, but clear of both axes
            at = max(left * (right / left) ** 0.08, low * (high / low) ** 0.05 / share)
            axes.text(
                at,
                at * share,
                f"{100 * share:g}%",
                color="#555555",
                fontsize=5,
                ha="center",
                va="center",
                zorder=5,
                path_effects=[withStroke(linewidth=1.5, foreground="white")],
            )
    bins = np.geomspace(x.min(), x.max() * 1.0001, 16)
    which = np.digitize(x, bins)
    rows = [
        (np.sqrt(bins[k - 1] * bins[k]), *np.percentile(y[which == k], [10, 50, 90]))
        for k in range(1, len(bins))
        if (which == k).sum() >= 10
    ]
    if len(rows) > 1:
        at, low, median, high = np.array(rows).T
        axes.plot(at, median, color=VERMILLION, lw=1.2, zorder=4, label="median")
        axes.plot(at, low, color=VERMILLION, lw=0.7, ls="--", zorder=4, label="10–90%")
        axes.plot(at, high, color=VERMILLION, lw=0.7, ls="--", zorder=4)
        axes.plot([], [], color=GREY, lw=0.5, label=r"|$\Delta$F| / |F|")
        axes.legend(
            loc="upper center",
            ncols=3,
            fontsize=5.5,
            borderaxespad=0.1,
            columnspacing=0.8,
            handlelength=1.3,
            frameon=True,
            facecolor="white",
            edgecolor="none",
            framealpha=0.9,
        )


def _density(
    axes: Axes,
    x: np.ndarray,
    y: np.ndarray,
    *,
    extent: tuple[float, float, float, float] | None = None,
    log: bool = False,
) -> None:
    """Hexagons coloured by how many atoms they hold, with a small scale inside the panel."""
    scale: Literal["linear", "log"] = "log" if log else "linear"
    hexagons = axes.hexbin(
        x,
        y,
        gridsize=55,
        mincnt=1,
        cmap=DENSITY,
        norm=LogNorm(vmin=1),
        xscale=scale,
        yscale=scale,
        extent=extent,
        linewidths=0.1,
        rasterized=True,
    )
    inside = axes.inset_axes((0.55, 1.045, 0.42, 0.028))
    bar = axes.figure.colorbar(hexagons, cax=inside, orientation="horizontal")
    bar.outline.set_linewidth(0.3)  # type: ignore[operator]
    bar.ax.xaxis.set_ticks_position("top")
    bar.ax.tick_params(labelsize=5, length=1.5, pad=0.5, width=0.4)
    bar.ax.minorticks_off()
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _count(int(x))))
    inside.text(
        -0.05, 0.5, "atoms", transform=inside.transAxes, ha="right", va="center", fontsize=5.5
    )


def _above_panel(
    axes: Axes, handles: list[Any], labels: list[str], handletextpad: float = 0.0
) -> None:
    """A legend in one row above the panel's right end, where no data can be."""
    axes.legend(
        handles,
        labels,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=len(labels),
        fontsize=5.8,
        handletextpad=handletextpad,
        columnspacing=0.6,
        borderaxespad=0.1,
        borderpad=0.1,
    )


def _note(axes: Axes, text: str) -> None:
    axes.text(0.04, 0.96, text, transform=axes.transAxes, ha="left", va="top", bbox=BOX, zorder=5)


def _square(axes: Axes, low: float, high: float) -> None:
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))


def _plain_log(axis: Any) -> None:
    """0.01, 0.1, 1 rather than powers of ten, which are hard to read at this size.

    Call it when the limits are set: less than two decades also get 2 and 5.
    """
    low, high = axis.get_view_interval()
    subs = (1.0, 2.0, 5.0) if high / low < 100 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axis.set_minor_locator(LogLocator(subs=range(2, 10), numticks=50))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def _bins(values: np.ndarray, most: int = 45) -> int:
    """How many bins a histogram of these values bears."""
    return int(np.clip(np.sqrt(len(values)), 9, most))


def _above(value: float, factor: float = 1.05) -> float:
    """An upper limit a little above the data, positive even when all is zero."""
    return value * factor if value > 0 else 1.0


def _floor(values: np.ndarray) -> float:
    """Where a logarithmic axis may start: below it lie the last 0.1 % and exact zeros."""
    positive = values[values > 0]
    return float(np.percentile(positive, 0.1, method="lower")) if len(positive) else 0.0


def _colour(z: int) -> str:
    return ELEMENT_COLOURS.get(int(z), GREY)


def _number(x: float) -> str:
    return "0" if x == 0 else f"{x:.3g}"


def _r2(x: float) -> str:
    """Digits enough to tell 0.9995 from 0.9999."""
    if np.isnan(x):
        return "n/a"
    if x < -10:
        return _minus(f"{x:.3g}")
    return f"{x:.5f}" if 0.999 < x < 1 else _minus(f"{x:.4f}")


def _minus(text: str) -> str:
    """With the minus sign that matplotlib's own ticks have."""
    return text.replace("-", "\N{MINUS SIGN}")


def _degrees(x: float) -> str:
    return f"{x:.2g}°" if x < 1 else f"{x:.1f}°"


def _count(n: int) -> str:
    """At most four characters: 950, 6.8k, 120k, 1.2M."""
    for unit, size in (("M", 1_000_000), ("k", 1000)):
        if n >= size:
            return (
                f"{n / size:.1f}".removesuffix(".0") + unit
                if n < 10 * size
                else f"{n / size:.0f}{unit}"
            )
    return str(n)
