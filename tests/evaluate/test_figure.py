import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread
from matplotlib.text import Text

from distill.evaluate.figure import STYLE, draw, force_analysis
from distill.evaluate.predict import Predictions

RNG = np.random.default_rng(0)
ALL_ELEMENTS = np.array([1, 6, 7, 8, 9, 15, 16, 17, 35, 53])


def predictions(frames, numbers, noise=0.1, scale=1.0, molecules=1):
    n = len(numbers)
    forces = scale * RNG.normal(size=(frames * n, 3))
    energy = np.zeros(frames)
    return Predictions(
        names=tuple(f"molecule {k % molecules}" for k in range(frames)),
        n_atoms=np.full(frames, n),
        numbers=np.tile(numbers, frames),
        energy_ref=energy,
        energy_pred=energy,
        forces_ref=forces,
        forces_pred=forces + noise * RNG.standard_t(3, size=forces.shape),
        temperature=np.full(frames, 300.0),
        source=("md",) * frames,
    )


CASES = {
    "one molecule": predictions(200, np.repeat([6, 1, 7, 8], 5)),
    "many molecules": predictions(100, np.repeat(ALL_ELEMENTS, 3), molecules=50),
    "two molecules": predictions(4, np.array([6, 1, 1, 1, 1]), molecules=2),
    "large molecule": predictions(2, np.full(400, 6)),
    "one frame": predictions(1, np.array([8, 1, 1])),
    "one atom": predictions(1, np.array([1])),
    "one atom, no force": predictions(1, np.array([1]), noise=0.0, scale=0.0),
    "no forces, some predicted": predictions(5, np.array([6, 1]), scale=0.0),
    "perfect": predictions(20, np.repeat([6, 1], 8), noise=0.0),
    "perfect, many": predictions(400, np.repeat([6, 1], 8), noise=0.0, molecules=20),
    "useless": predictions(50, np.repeat([6, 1], 8), noise=1e3),
    "tiny errors": predictions(50, np.repeat([6, 1], 20), noise=1e-9, molecules=12),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("error")
def test_draws_and_keeps_every_word_inside(case):
    with matplotlib.rc_context(STYLE):
        figure = draw(CASES[case], title="", threshold=0.05)
        figure.canvas.draw()
        width, height = figure.bbox.size
        letters = []
        for text in figure.findobj(Text):
            if not text.get_text() or not text.get_visible():
                continue
            letters += [text.get_text()] if text.get_fontweight() == "bold" else []
            # ticks beyond the limits exist but are not painted
            if text.get_clip_on():
                continue
            box = text.get_window_extent()
            painted = any(
                text in axes.texts
                or text in (axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title)
                for axes in figure.axes
            )
            if painted:
                assert box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1 and box.y1 < height + 1
    assert letters == ["(a)", "(b)", "(c)", "(d)", "(e)", "(f)"]


def test_files_are_fit_for_print(tmp_path):
    png, svg = tmp_path / "a.png", tmp_path / "a.svg"
    force_analysis(CASES["many molecules"], png, svg, title="A student")
    height, width = imread(png).shape[:2]
    assert width == pytest.approx(180 / 25.4 * 300, abs=2)
    assert height < width
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    assert svg.stat().st_size < 3e6  # points are one picture, not thousands of paths


@pytest.mark.slow
def test_same_data_same_bytes(tmp_path):
    for name in ("a", "b"):
        force_analysis(CASES["one frame"], tmp_path / f"{name}.png", tmp_path / f"{name}.svg")
    for kind in ("png", "svg"):
        first, second = (tmp_path / f"{name}.{kind}" for name in ("a", "b"))
        assert first.read_bytes() == second.read_bytes()
