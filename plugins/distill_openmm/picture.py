"""md.png: temperature, energy, density and the student's doubt over time."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from distill.evaluate.figure import BLUE, GREY, MM, STYLE, VERMILLION
from distill.whole import whole_file
from distill_openmm.summary import columns

WIDTH, HEIGHT = 120 * MM, 26 * MM


def picture(table: Path, png: Path, temperature: float) -> None:
    """Draws md.csv; nothing where there is no frame. temperature: the one asked for, in K."""
    found = columns(table)
    if not len(found.get("time_ps", ())):
        return
    time = found["time_ps"]
    drawn = [panel for panel in PANELS if any(has(found, name) for name, _, _ in panel[1])]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT * len(drawn)), layout="constrained")
        FigureCanvasAgg(figure)
        rows: list[Axes] = list(figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0])
        for axes, (label, lines) in zip(rows, drawn):
            shown = [line for line in lines if has(found, line[0])]
            for name, colour, legend in shown:
                axes.plot(time, found[name], color=colour, linewidth=0.7, label=legend)
            if label.startswith("Temperature"):
                axes.axhline(temperature, color=GREY, linewidth=0.6, linestyle="--")
            if len(shown) > 1:
                axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.96), ncols=2)
            axes.set_ylabel(label)
        rows[-1].set_xlabel("Time (ps)")
        with whole_file(png) as place:
            figure.savefig(place, dpi=200)


def has(found: dict[str, np.ndarray], name: str) -> bool:
    """Whether there are numbers in a column."""
    return name in found and bool(np.isfinite(found[name]).any())


PANELS = (
    (
        "Temperature\n(K)",
        (
            ("temperature_k", BLUE, "all"),
            ("ligand_temperature_k", VERMILLION, "the student's atoms"),
        ),
    ),
    ("Potential energy\n(kJ/mol)", (("potential_kj_per_mol", BLUE, ""),)),
    ("Density\n(g/cm³)", (("density_g_per_cm3", BLUE, ""),)),
    ("Expected force\nerror (eV/Å)", (("uncertainty_ev_per_angstrom", VERMILLION, ""),)),
)
