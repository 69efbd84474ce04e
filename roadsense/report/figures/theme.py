"""Colours and the two ways out of a figure: into a page, in the colours of the reader, or into a file for papers and slides.

A figure is drawn in the light colours. In a page each of them becomes the CSS variable of the same name, so it follows light and dark;
every colour is therefore used for one thing only. `roadsense/report/assets/base.css` holds the same values.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from markupsafe import Markup

from roadsense.artifacts.files import atomic_path
from roadsense.errors import DependencyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, LINE, CARD, SOFT = "#1d2126", "#5c656e", "#dddfdd", "#ffffff", "#f1f1ed"
# Told apart with any colour vision (tests/report/test_figures.py simulates dichromats); markers differ as well.
BLUE, RED, GREEN, AMBER, PURPLE, SKY, GREY = "#0b62b0", "#b3290a", "#008f72", "#b28600", "#7d4698", "#2b87b3", "#767d85"
_VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        INK: "ink", MUTED: "muted", LINE: "line", CARD: "card", SOFT: "soft",
        BLUE: "c1", RED: "c2", GREEN: "c3", AMBER: "c4", PURPLE: "c5", SKY: "c6", GREY: "c7",
    }
)  # fmt: skip
_COLOUR: Final = re.compile("|".join(_VARIABLES), re.IGNORECASE)
_FONT: Final = re.compile(r"font: (?:([\w-]+) )?([\d.]+px) [^;\"]*")
_HEADER: Final = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA: Final = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)

Size = Literal["wide", "narrow"]
WIDTHS_IN: Final[Mapping[Size, float]] = MappingProxyType({"wide": 10.0, "narrow": 3.7})
_JUDGED_COLOURS: Final = (BLUE, GREEN, PURPLE, SKY)
_STYLE: Final = {
    "font.size": 9.0, "font.family": "sans-serif", "text.color": INK, "axes.labelcolor": MUTED, "axes.edgecolor": LINE,
    "axes.titlesize": 9.5, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.titlepad": 8.0,
    "xtick.color": LINE, "ytick.color": LINE, "xtick.labelcolor": MUTED, "ytick.labelcolor": INK, "axes.spines.top": False,
    "axes.spines.right": False, "axes.facecolor": "none", "figure.facecolor": "none", "grid.color": LINE, "grid.linewidth": 0.6,
    "legend.frameon": False, "legend.labelcolor": INK, "lines.solid_capstyle": "round", "svg.fonttype": "none", "savefig.dpi": 200.0,
    "hatch.linewidth": 0.6,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A figure that can be drawn wide for a desk and narrow for a phone.

    Attributes:
        name: of its files.
        caption: what one sees, and how to read it.
        draw: draws it; called with the size, within the style of this module.
    """

    name: str
    caption: str
    draw: Callable[[Size], Figure]


def require_matplotlib() -> None:
    """Raises DependencyError, with the command that helps, unless figures can be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise DependencyError("the package matplotlib is missing; install it with: pip install 'roadsense[report]'") from None


@contextmanager
def _style(name: str) -> Iterator[None]:
    import matplotlib as mpl

    # The salt makes ids of clip paths differ between the figures of a page, and repeat from one report to the next.
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        yield


def new_figure(size: Size, height_in: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure of the page's width and an array (rows, columns) of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTHS_IN[size], height_in), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def inline(drawing: Drawing) -> Markup:
    """Both sizes as SVG for a page; its stylesheet shows the one that fits."""
    return Markup("").join(_inline(drawing, size) for size in WIDTHS_IN)


def _inline(drawing: Drawing, size: Size) -> Markup:
    with _style(f"{drawing.name}-{size}"):
        buffer = io.StringIO()
        drawing.draw(size).savefig(buffer, format="svg", metadata={"Date": None})
    text = _METADATA.sub("", _HEADER.sub("", buffer.getvalue()))
    text = _COLOUR.sub(lambda found: f"var(--{_VARIABLES[found.group().lower()]})", text)
    text = _FONT.sub(lambda found: f"font-size: {found.group(2)}; font-weight: {_weight(found.group(1))}", text)
    # Ids of axes and groups repeat from figure to figure and nothing refers to them; those of clip paths and markers are salted.
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    return Markup(text.replace("<svg ", f'<svg class="{size}" role="img" aria-label="{Markup.escape(drawing.caption)}" ', 1))  # noqa: S704 - matplotlib escapes what it writes


def _weight(word: str | None) -> str:
    return word if word and (word.isdigit() or word == "bold") else "400"


def write_figures(drawings: Sequence[Drawing], folder: Path) -> list[Path]:
    """Every figure as SVG and PNG, on white, at the width of a page.

    Raises:
        RunDirectoryError: a file cannot be written.
    """
    written = []
    for drawing in drawings:
        with _style(drawing.name):
            figure = drawing.draw("wide")
            for kind in ("svg", "png"):
                path = folder / f"{drawing.name}.{kind}"
                metadata = {"Date": None} if kind == "svg" else None
                with atomic_path(path) as temporary:
                    figure.savefig(temporary, format=kind, facecolor=CARD, metadata=metadata)
                written.append(path)
    return written


def policy_colours(judged: Sequence[str], others: Sequence[str]) -> dict[str, str]:
    """A colour for each policy: judged ones first, the two references that matter their own, the rest grey."""
    colours = {name: _JUDGED_COLOURS[place % len(_JUDGED_COLOURS)] for place, name in enumerate(judged)}
    known = {"never_brake": RED, "ttc_radio": AMBER}
    return colours | {name: known.get(name, GREY) for name in others}


def policy_markers(judged: Sequence[str], others: Sequence[str]) -> dict[str, str]:
    """A marker for each policy, so that no figure depends on colour alone."""
    shapes = {name: "oDs^v"[place % 5] for place, name in enumerate(judged)}
    known = {"never_brake": "X", "ttc_radio": "P"}
    return shapes | {name: known.get(name, "d") for name in others}
