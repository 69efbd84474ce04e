"""What a dataset holds: how often each base and peer count comes, where hazards can happen, and how its draws are spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from roadsense.report.figures.theme import AMBER, BLUE, CARD, GREY, INK, LINE, MUTED, Size, new_figure
from roadsense.scenario.coverage import Coverage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from roadsense.report.dataset.drawn import Quantity

_UNITS: Final = {"_mps": ", m/s", "_s": ", s", "_m": ", m"}


def histograms(quantities: Sequence[Quantity], size: Size) -> Figure:
    """One panel per varied quantity: training filled, evaluation as a line, both as shares; dotted: what it was drawn from."""
    columns = 4 if size == "wide" else 2
    rows = -(-len(quantities) // columns)
    figure, axes = new_figure(size, 0.5 + (1.75 if size == "wide" else 1.5) * rows, rows, columns)
    for axis, quantity in zip(axes.flat, quantities, strict=False):
        edges = quantity.edges
        for split, values in quantity.values.items():
            if not len(values):
                continue
            shares = 100 * np.histogram(values, edges)[0] / len(values)
            if split == "train":
                axis.stairs(shares, edges, fill=True, color=LINE)
            else:
                axis.stairs(shares, edges, color=BLUE, linewidth=1.6)
        for limit in quantity.limits or ():
            axis.axvline(limit, color=AMBER, linewidth=1.0, linestyle=(0, (1, 2)))
        axis.set_title(_short(quantity.name), fontsize=8.5 if size == "wide" else 7.5)
        axis.tick_params(length=0, labelsize=7.5)
        axis.locator_params(axis="x", nbins=4)
        axis.locator_params(axis="y", nbins=3)
        axis.set_ylim(bottom=0)
    for axis in list(axes.flat)[len(quantities) :]:
        axis.set_visible(False)
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Patch(color=LINE, label="training"),
        Line2D([], [], color=BLUE, label="evaluation"),
        Line2D([], [], color=AMBER, linestyle=(0, (1, 2)), label="drawn from"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=3)
    figure.supylabel("% of the split's values", color=MUTED, fontsize=8)
    return figure


def _short(name: str) -> str:
    """`convoy.headway_s` as `convoy headway, s`."""
    unit = next((suffix for suffix in _UNITS if name.endswith(suffix)), "")
    return name.removesuffix(unit).replace(".", " ").replace("_", " ") + _UNITS.get(unit, "")


def coverage(rows: Sequence[Coverage], size: Size) -> Figure:
    """Scenarios by base and peer count, and by base and rank that a hazard can have; every cell says training over evaluation."""
    bases = list(dict.fromkeys(row.base for row in rows))
    of = {(row.base, row.split): row for row in rows}
    counts = sorted({count for row in rows for count in row.peer_counts})
    ranks = list(range(1, 1 + max((len(row.hazard_ranks) for row in rows), default=0)))
    by_count = [[(of[base, "train"].peer_counts.get(n), of[base, "eval"].peer_counts.get(n)) for n in counts] for base in bases]
    by_rank = [[(_rank(of[base, "train"], rank), _rank(of[base, "eval"], rank)) for rank in ranks] for base in bases]
    wide = size == "wide"
    figure, axes = new_figure(
        size, 1.1 + 0.42 * len(bases) if wide else 2 * (0.9 + 0.42 * len(bases)), 1 if wide else 2, 2 if wide else 1, sharey=wide
    )
    for axis, cells, labels, title, unit in (
        (axes.flat[0], by_count, counts, "number of peers", "cars of the convoy beside the ego"),
        (axes.flat[1], by_rank, ranks, "where a hazard can be", "k-th peer ahead exists"),
    ):
        _cells(axis, cells, wide=wide)
        axis.set_title(title)
        axis.set_xticks(range(len(labels)), [str(label) for label in labels])
        axis.set_yticks(range(len(bases)), [base.replace("_", " ") for base in bases], fontsize=None if wide else 7)
        axis.set_xlabel(unit)
    return figure


def _rank(row: Coverage, rank: int) -> int:
    return row.hazard_ranks[rank - 1] if rank <= len(row.hazard_ranks) else 0


def _cells(axis: Any, cells: Sequence[Sequence[tuple[int | None, int | None]]], *, wide: bool) -> None:
    from matplotlib.patches import Rectangle

    most = max([1, *((train or 0) for row in cells for train, _ in row)])
    for y, row in enumerate(cells):
        for x, (train, evaluation) in enumerate(row):
            if train is None and evaluation is None:
                continue
            share = (train or 0) / most
            is_gap = not train or not evaluation
            axis.add_patch(Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, facecolor=BLUE, alpha=0.05 + 0.6 * share, linewidth=0))
            if is_gap:
                axis.add_patch(Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, facecolor="none", edgecolor=GREY, linewidth=0.7, linestyle=":"))
            colour = CARD if share > 0.75 else INK
            axis.text(
                x,
                y,
                f"{train or 0}\n{evaluation or 0}",
                ha="center",
                va="center",
                fontsize=7 if wide else 5.5,
                color=colour,
                linespacing=1.1,
            )
    axis.set_xlim(-0.5, max(0.5, max((len(row) for row in cells), default=1) - 0.5))
    axis.set_ylim(len(cells) - 0.5, -0.5)
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
