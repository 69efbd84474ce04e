"""Policies beside each other: dots with intervals, outcomes, crashes avoided and caused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from roadsense.env.outcome import Outcome
from roadsense.report.figures.theme import (
    AMBER,
    BLUE,
    CARD,
    GREEN,
    GREY,
    LINE,
    PURPLE,
    RED,
    SOFT,
    Size,
    new_figure,
    policy_colours,
    policy_markers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from roadsense.report.run.lists import EvaluationList

# Panel title, figure, factor, unit, right end at least. The first is replaced where critical hazards are unknown.
_ANSWER: Final = (
    ("crashes in critical hazards", "critical_hazard_collision_rate", 100.0, "% of critical hazards"),
    ("false braking", "false_braking_rate", 100.0, "% of steps outside hazards"),
    ("reaction time", "avg_reaction_s", 1.0, "s after the first message heard"),
)
_OUTCOMES: Final = (
    (Outcome.COLLISION, "ran into the car ahead", RED, "////"),
    (Outcome.EGO_REAR_ENDED, "hit from behind", AMBER, "...."),
    (Outcome.LEFT_ROAD, "left the road", PURPLE, "xxxx"),
    (Outcome.FAULT, "simulator failed", GREY, ""),
    (Outcome.ROUTE_ENDED, "end of the route", SOFT, "----"),
    (Outcome.SAFE, "safe to the end", LINE, ""),
)
# A scale that always_brake and random stretch to 100 % shows nothing of the policies that matter: it ends here, and an arrow says so.
_MOST_ROOM: Final = 3.0


def answer(listed: EvaluationList, size: Size) -> Figure:
    """Critical crashes, false braking and reaction time of every policy, with intervals."""
    names = list(listed.records)
    panels = list(_ANSWER)
    if listed.critical is None:
        panels[0] = ("crashes in hazards", "hazard_collision_rate", 100.0, "% of hazards")
    rows, columns = (1, 3) if size == "wide" else (3, 1)
    height = 0.75 + 0.27 * len(names)
    figure, axes = new_figure(size, height if size == "wide" else 3 * (height + 0.1), rows, columns, sharey=size == "wide")
    for axis, (title, key, factor, unit) in zip(axes.flat, panels, strict=True):
        _dots(axis, listed, names, [(listed.figures[name].get(key), listed.figures[name]["intervals"].get(key)) for name in names], factor)
        axis.set_title(title)
        axis.set_xlabel(unit)
    return figure


def _dots(axis: Any, listed: EvaluationList, names: Sequence[str], values: Sequence[tuple[Any, Any]], factor: float) -> None:
    colours, markers = policy_colours(listed.judged, listed.references), policy_markers(listed.judged, listed.references)
    limit = _scale_end(listed, names, values, factor)
    for row, (name, (value, interval)) in enumerate(zip(names, values, strict=True)):
        if name in listed.judged:
            axis.axhspan(row - 0.5, row + 0.5, color=BLUE, alpha=0.07, linewidth=0)
        if value is None:
            axis.annotate("no case", (0.02, row), xycoords=("axes fraction", "data"), va="center", color=GREY, fontsize=8)
            continue
        if factor * value > limit:
            axis.annotate(
                f"{factor * value:.0f} ▸", (0.985, row), xycoords=("axes fraction", "data"), va="center", ha="right", color=colours[name]
            )
            continue
        if interval is not None:
            low, high = factor * interval[0], factor * interval[1]
            axis.plot([low, min(high, limit)], [row, row], color=colours[name], linewidth=2.2, alpha=0.75)
            if high > limit:  # the line goes on beyond the scale
                axis.plot([limit], [row], ">", color=colours[name], markersize=5)
        axis.plot(
            [factor * value],
            [row],
            markers[name],
            color=colours[name],
            markersize=9 if markers[name] in "PX" else 6.5,
            markeredgecolor=CARD,
            markeredgewidth=0.8,
        )
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.tick_params(length=0)
    axis.grid(axis="x")
    axis.set_axisbelow(True)
    axis.spines["left"].set_visible(False)
    left = min([0.0, *(factor * (interval[0] if interval is not None else value) for value, interval in values if value is not None)])
    axis.set_xlim(left - 0.03 * (limit - left), limit + 0.03 * (limit - left))


def _scale_end(listed: EvaluationList, names: Sequence[str], values: Sequence[tuple[Any, Any]], factor: float) -> float:
    """The right end: room for the judged policies and the yardstick, and for others as far as they are of their size."""
    important = {*listed.judged, listed.against}
    ends: dict[str, float] = {
        name: factor * (interval[1] if interval is not None else value)
        for name, (value, interval) in zip(names, values, strict=True)
        if value is not None
    }
    wanted = max((end for name, end in ends.items() if name in important), default=0.0)
    every = max(ends.values(), default=1.0)
    if not wanted or every <= _MOST_ROOM * wanted:
        return max(every, 1e-9)
    return max([end for end in ends.values() if end <= _MOST_ROOM * wanted])


def by_base(listed: EvaluationList, size: Size) -> Figure:
    """Crash rates in hazards by base scenario: the judged policies, the yardstick and never_brake."""
    names = [name for name in listed.records if name in (*listed.judged, "ttc_radio", "never_brake")]
    colours, markers = policy_colours(listed.judged, listed.references), policy_markers(listed.judged, listed.references)
    groups = {name: {group["base"]: group for group in listed.figures[name]["breakdowns"]["base"]} for name in names}
    bases = sorted({base for of in groups.values() for base in of})
    figure, axes = new_figure(size, 0.9 + len(bases) * (0.16 * len(names) + 0.22))
    axis = axes[0, 0]
    step = 0.72 / len(names)
    for place, name in enumerate(names):
        for row, base in enumerate(bases):
            group = groups[name].get(base)
            value = group and group["hazard_collision_rate"]
            if group is None or value is None:
                continue
            y = row + (place - (len(names) - 1) / 2) * step
            interval = group["intervals"]["hazard_collision_rate"]
            if interval is not None:
                axis.plot([100 * interval[0], 100 * interval[1]], [y, y], color=colours[name], linewidth=2, alpha=0.7)
            axis.plot(
                [100 * value],
                [y],
                markers[name],
                color=colours[name],
                markersize=8.5 if markers[name] in "PX" else 6,
                markeredgecolor=CARD,
                markeredgewidth=0.8,
            )
    for name in names:
        axis.plot([], [], markers[name], color=colours[name], label=name)
    _rows(axis, [base.replace("_", " ") for base in bases])
    axis.set_xlim(-2, 102)
    axis.set_xlabel("crashes, % of hazards")
    figure.legend(loc="outside upper left", ncols=2 if size == "narrow" else 6)
    return figure


def outcomes(listed: EvaluationList, size: Size) -> Figure:
    """How the episodes of each policy ended, as shares of all of them."""
    names = list(listed.records)
    counts: Mapping[str, Mapping[str, int]] = {name: listed.figures[name]["outcomes"] for name in names}
    figure, axes = new_figure(size, 1.0 + 0.27 * len(names) + (0.45 if size == "narrow" else 0.0))
    axis = axes[0, 0]
    starts = dict.fromkeys(names, 0.0)
    for outcome, label, colour, hatch in _OUTCOMES:
        shares = [100 * counts[name][outcome.value] / max(1, sum(counts[name].values())) for name in names]
        if not any(shares):
            continue
        axis.barh(
            range(len(names)),
            shares,
            left=[starts[name] for name in names],
            color=colour,
            height=0.66,
            label=label,
            hatch=hatch,
            edgecolor=CARD,
            linewidth=0.6,
        )
        starts = {name: starts[name] + share for name, share in zip(names, shares, strict=True)}
    _rows(axis, names)
    axis.set_xlim(0, 100)
    axis.set_xlabel("% of episodes")
    figure.legend(loc="outside upper left", ncols=2 if size == "narrow" else 6)
    return figure


def avoided(listed: EvaluationList, size: Size) -> Figure:
    """Crashes avoided (right) and caused (left) by each judged policy against every other one, on identical episodes."""
    several = len(listed.judged) > 1
    shown = {*listed.judged, "ttc_radio", "never_brake"} if several else {*listed.records}  # with several runs the table has the rest
    pairs = [pair for name in listed.judged for pair in listed.paired[name] if pair["b"] in shown]
    # Two names side by side would leave a phone no room for the bars.
    between, row_in = ("\n", 0.42) if several and size == "narrow" else (" ", 0.3)
    figure, axes = new_figure(size, 0.9 + row_in * len(pairs))
    axis = axes[0, 0]
    largest = max([1, *(max(pair["crashes_avoided"], pair["crashes_caused"]) for pair in pairs)])
    for row, pair in enumerate(pairs):
        axis.barh(row, pair["crashes_avoided"], color=GREEN, height=0.6)
        axis.barh(row, -pair["crashes_caused"], color=RED, height=0.6, hatch="////", edgecolor=CARD, linewidth=0.6)
        axis.annotate(
            str(pair["crashes_avoided"]),
            (pair["crashes_avoided"], row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=GREEN,
            weight="bold",
        )
        axis.annotate(
            str(pair["crashes_caused"]),
            (-pair["crashes_caused"], row),
            xytext=(-4, 0),
            textcoords="offset points",
            va="center",
            ha="right",
            color=RED,
            weight="bold",
        )
    _rows(axis, [f"{pair['a']}{between}against {pair['b']}" if several else f"against {pair['b']}" for pair in pairs])
    axis.axvline(0, color=GREY, linewidth=0.8)
    most_caused = max([0, *(pair["crashes_caused"] for pair in pairs)])
    axis.set_xlim(-1.1 * most_caused - (0.1 if size == "wide" else 0.2) * largest, (1.15 if size == "wide" else 1.25) * largest)
    axis.xaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    axis.set_xlabel("◂ crashes caused · crashes avoided ▸" if size == "wide" else "◂ caused · avoided ▸")
    return figure


def _rows(axis: Any, labels: Sequence[str]) -> None:
    axis.set_yticks(range(len(labels)), labels)
    axis.set_ylim(len(labels) - 0.5, -0.5)
    axis.tick_params(length=0)
    axis.grid(axis="x")
    axis.set_axisbelow(True)
    axis.spines["left"].set_visible(False)
