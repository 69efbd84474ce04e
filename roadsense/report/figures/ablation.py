"""Variants of a training beside each other, and policies over worse and worse radios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from roadsense.report.figures.theme import AMBER, BLUE, CARD, GREEN, GREY, LINE, MUTED, RED, Size, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Figure, title, unit; all are shares.
_PANELS: Final = (
    ("critical_hazard_collision_rate", "crashes in critical hazards", "% of critical hazards"),
    ("false_braking_rate", "false braking", "% of steps outside hazards"),
)
_REFERENCE: Final[Mapping[str, tuple[str, str]]] = {"ttc_radio": (AMBER, "P"), "ttc_leader": (GREEN, "D"), "never_brake": (RED, "X")}
# What crashes in nearly every hazard would press all others against the axis; it is named at the edge instead.
_MOST_ROOM: Final = 3.0


def ablation_figure(content: Mapping[str, Any], size: Size) -> Figure:
    """One row per policy: the pooled figure with its interval, and a small mark for each seed. `content` is that of ablation.json."""
    entries = {**content["variants"], **{name: entry for name, entry in content["references"].items() if name != "never_brake"}}
    rows, columns = (1, 2) if size == "wide" else (2, 1)
    height_in = 0.8 + 0.32 * len(entries)
    figure, axes = new_figure(size, height_in * rows, rows, columns, sharey=size == "wide")
    for axis, (key, title, unit) in zip(axes.flat, _PANELS, strict=True):
        limit = _end([entry["figures"][key] for name, entry in entries.items() if name != "none"])
        for row, (name, entry) in enumerate(entries.items()):
            colour, marker = (BLUE, "o") if name in content["variants"] else _REFERENCE.get(name, (GREY, "d"))
            _row(axis, row, entry["figures"][key], colour, marker, limit)
        axis.set_title(title)
        axis.set_xlabel(unit)
        axis.set_yticks(range(len(entries)), [name.replace("_", " ") if name in content["variants"] else name for name in entries])
        axis.set_ylim(len(entries) - 0.5, -0.5)
        axis.axhline(len(content["variants"]) - 0.5, color=LINE, linewidth=1)
        axis.set_xlim(-0.03 * limit, 1.03 * limit)
        axis.tick_params(length=0)
        axis.grid(axis="x")
        axis.set_axisbelow(True)
        axis.spines["left"].set_visible(False)
    return figure


def _end(figures: Sequence[Mapping[str, Any]]) -> float:
    """Where a scale ends: at the farthest interval, but not beyond a few times the farthest value."""
    ends = [100 * (found["interval"][1] if found["interval"] else found["value"]) for found in figures if found["value"] is not None]
    values = [100 * found["value"] for found in figures if found["value"] is not None]
    return max(min(max(ends, default=1.0), _MOST_ROOM * max(values, default=1.0)), 1e-3)


def _row(axis: Any, row: int, found: Mapping[str, Any], colour: str, marker: str, limit: float) -> None:
    if found["value"] is None:
        axis.annotate("no case", (0.02, row), xycoords=("axes fraction", "data"), va="center", color=GREY, fontsize=8)
        return
    if 100 * found["value"] > limit:
        text = f"{100 * found['value']:.0f} ▸"
        axis.annotate(text, (0.985, row), xycoords=("axes fraction", "data"), va="center", ha="right", color=colour)
        return
    if found["interval"] is not None:
        low, high = (100 * bound for bound in found["interval"])
        axis.plot([low, min(high, limit)], [row, row], color=colour, linewidth=2.2, alpha=0.75)
    seeds = [100 * value for value in found["by_seed"].values() if value is not None]
    if len(seeds) > 1:
        axis.plot(seeds, [row + 0.24] * len(seeds), "|", color=colour, markersize=6, alpha=0.8)
    axis.plot([100 * found["value"]], [row], marker, color=colour, markersize=7, markeredgecolor=CARD, markeredgewidth=0.8)


def radio_curve_figure(content: Mapping[str, Any], size: Size) -> Figure:
    """Crashes and false braking (rows) over packet loss and over latency (columns). `content` is that of radio_curve.json."""
    wide = size == "wide"
    figure, axes = new_figure(size, 6.2 if wide else 9.6, 2 if wide else 4, 2 if wide else 1, sharey="row" if wide else False)
    sweeps = (("loss", "packet loss on every link, %"), ("latency", "latency of every link, ms"))
    for row, (key, title, unit) in enumerate(_PANELS):
        policies = content["policies"].values()
        limit = _end([result[key] for policy in policies for sweep, _ in sweeps for result in policy[sweep]])
        for column, (sweep, label) in enumerate(sweeps):
            axis = axes[row, column] if wide else axes[2 * row + column, 0]
            for name, policy in content["policies"].items():
                _line(axis, *_with_nominal(content, sweep, name, policy[sweep]), key, name)
            axis.set_title(title)
            axis.set_xlabel(label)
            axis.set_ylabel(unit)
            axis.set_ylim(0, 1.05 * limit)
            axis.grid()
            axis.tick_params(length=0, labelsize=8)
            axis.margins(x=0.02)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=4 if wide else 1)
    figure.supxlabel(content["note"], color=MUTED, fontsize=8 if wide else 6)
    return figure


def _with_nominal(content: Mapping[str, Any], sweep: str, name: str, results: Sequence[Any]) -> tuple[list[float], list[Any]]:
    """The points of a sweep; the nominal radio is one of the latencies, and none of the losses, which it has by distance."""
    points = dict(zip(content["points"][sweep], results, strict=True))
    if sweep == "latency":
        points.setdefault(content["nominal_latency_ms"], content["nominal"][name])
    return sorted(points), [points[x] for x in sorted(points)]


def _line(axis: Any, points: Sequence[float], results: Sequence[Mapping[str, Any]], key: str, name: str) -> None:
    colour, marker = _REFERENCE.get(name, (BLUE, "o"))
    found = [(x, result[key]) for x, result in zip(points, results, strict=True) if result[key]["value"] is not None]
    if not found:
        return
    xs = [x for x, _ in found]
    axis.plot(
        xs,
        [100 * one["value"] for _, one in found],
        marker=marker,
        color=colour,
        linewidth=1.8,
        markersize=6,
        markeredgecolor=CARD,
        markeredgewidth=0.7,
        linestyle=(0, (4, 2)) if name == "ttc_leader" else "-",
        label=name.replace("learned", "learned policy"),
    )
    bounds = [one["interval"] for _, one in found]
    if all(bound is not None for bound in bounds):
        low, high = ([100 * bound[side] for bound in bounds] for side in (0, 1))
        axis.fill_between(xs, low, high, color=colour, alpha=0.14, linewidth=0)
