"""Figures as files, and colours that everybody can tell apart."""

import itertools
import re
from functools import partial

import numpy as np
import pytest
from PIL import Image

from roadsense.cli import main
from roadsense.report.figures import comparison, course, theme
from roadsense.report.figures.theme import Drawing, write_figures
from roadsense.report.run.lists import evaluation_lists
from roadsense.report.run.source import read_source

# Viénot, Brettel and Mollon (1999) and Brettel, Viénot and Mollon (1997): what dichromats see, on linear RGB.
DICHROMATS = {
    "protanopia": [[0.1124, 0.8876, 0.0], [0.1124, 0.8876, 0.0], [0.0040, -0.0040, 1.0]],
    "deuteranopia": [[0.2925, 0.7075, 0.0], [0.2925, 0.7075, 0.0], [-0.0223, 0.0223, 1.0]],
    "tritanopia": [[1.0, 0.1461, -0.1461], [0.0, 0.8592, 0.1408], [0.0, 0.8592, 0.1408]],
}


def linear(colour):
    values = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = (
        np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089]
    )
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one, other):
    first, second = sorted((float([0.2126, 0.7152, 0.0722] @ linear(colour)) for colour in (one, other)), reverse=True)
    return (first + 0.05) / (second + 0.05)


def palette(repository, dark):
    css = (repository / "roadsense" / "report" / "assets" / "base.css").read_text()
    light, night = css.split("prefers-color-scheme: dark", 1)
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", night.split("@media print")[0] if dark else light))


def test_the_stylesheet_and_the_figures_have_the_same_colours(repository):
    css = palette(repository, dark=False)
    assert {name: css[name] for name in theme._VARIABLES.values()} == {name: colour for colour, name in theme._VARIABLES.items()}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("vision", ["all", *DICHROMATS])
def test_judged_policies_and_references_are_told_apart(repository, dark, vision):
    """Two judged policies, ttc_radio and never_brake: a difference of 10 in Lab is plain to see."""
    css = palette(repository, dark)
    seen = {
        name: lab(np.array(DICHROMATS[vision]) @ linear(css[name]) if vision != "all" else linear(css[name]))
        for name in ("c1", "c2", "c3", "c4")
    }
    for one, other in itertools.combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 10, (one, other)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_can_be_read(repository, dark):
    """WCAG AA: 4.5 for text; 3 for what is drawn."""
    css = palette(repository, dark)
    for ground in ("bg", "card"):
        assert contrast(css["ink"], css[ground]) > 7 and contrast(css["muted"], css[ground]) > 4.5
        for name in ("c1", "c2", "c3", "c4", "c5", "c6", "c7"):
            assert contrast(css[name], css[ground]) > 3, name


def test_figures_are_written_as_svg_and_png(evaluation_dir, tmp_path):
    assert (
        main(
            ["report", str(evaluation_dir), "--output", str(tmp_path / "r.html"), "--figures", str(tmp_path / "figures"), "--replays", "0"]
        )
        == 0
    )
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    stems = {"answer", "outcomes", "heat_map", "by_base", "distributions", "avoided"}
    assert names == {f"{stem}.{kind}" for stem in stems for kind in ("svg", "png")}
    for stem in stems:
        with Image.open(tmp_path / "figures" / f"{stem}.png") as image:
            assert image.width == 2000 and np.asarray(image.convert("L")).std() > 5
        assert (tmp_path / "figures" / f"{stem}.svg").read_text().rstrip().endswith("</svg>")


def test_writing_again_gives_the_same_bytes(evaluation_dir, tmp_path):
    """A figure in a repository changes only when what it shows does."""
    (listed,) = evaluation_lists([read_source(evaluation_dir)])
    drawing = Drawing(name="outcomes", caption="", draw=partial(comparison.outcomes, listed))
    first, second = (write_figures([drawing], tmp_path / name) for name in ("one", "two"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_run_has_the_same_colour_in_its_learning_curve_as_elsewhere():
    """Also when the run before it has no curve."""
    rows = [{"timesteps": float(step), "episode_return": float(step)} for step in range(1, 12)]
    figure = course.curves({"evaluated alone": (), "trained": rows}, "wide")
    assert {line.get_color() for line in figure.axes[0].get_lines()} == {
        theme.policy_colours(["evaluated alone", "trained"], ())["trained"]
    }
