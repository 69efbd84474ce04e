"""How a run learned, where a policy crashes, and how its figures are distributed over episodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from roadsense.env.record import EpisodeRecord
from roadsense.report.figures.theme import CARD, INK, LINE, MUTED, RED, Size, new_figure, policy_colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from roadsense.report.run.lists import EvaluationList
    from roadsense.report.run.source import ProgressRow

# Column of progress.csv, title, factor.
_CURVES: Final = (
    ("episode_return", "return per episode", 1.0),
    ("hazard_collision_rate", "crashes, % of hazards", 100.0),
    ("false_braking_rate", "false braking, % of steps", 100.0),
    ("entropy", "entropy of the actions", 1.0),
    ("value_explained_variance", "explained variance of the value", 1.0),
    ("steps_per_s", "environment steps per second", 1.0),
)
_SMOOTHED_ROWS: Final = 9
_DISTRIBUTIONS: Final[tuple[tuple[str, str, float | None, Callable[[EpisodeRecord], float | None]], ...]] = (
    # Axis, who counts, where the axis ends at the latest (a gap of hundreds of metres tells nothing), the value.
    ("reaction time, s", "reactions", None, lambda record: record.reaction_s),
    ("smallest gap, m", "car ahead", 50.0, lambda record: record.min_gap_m),
    ("hardest braking, m/s²", "braked", None, lambda record: record.peak_braking_mps2),
    ("driven, m", "episodes", None, lambda record: record.progress_m),
    ("impact speed, m/s", "crashes", None, lambda record: record.impact_speed_mps if record.collided else None),
)


def curves(rows_of: Mapping[str, Sequence[ProgressRow]], size: Size) -> Figure:
    """Columns of progress.csv over environment steps, one line per run; faint as written, strong as a running mean of nine rows.

    `rows_of` names every judged policy in its order, which gives it the colour that it has in the other figures; those without rows are
    left out.
    """
    rows, columns = (2, 3) if size == "wide" else (len(_CURVES), 1)
    figure, axes = new_figure(size, 4.6 if size == "wide" else 1.75 * len(_CURVES), rows, columns, sharex=True)
    colours = policy_colours(list(rows_of), ())
    for axis, (column, title, factor) in zip(axes.flat, _CURVES, strict=True):
        for name, table in rows_of.items():
            points = [(row["timesteps"], factor * value) for row in table if (value := row.get(column)) is not None]
            if not points:
                continue
            steps, values = np.array(points, dtype=np.float64).T
            axis.plot(steps, values, color=colours[name], linewidth=0.8, alpha=0.3)
            axis.plot(steps, _running_mean(values), color=colours[name], linewidth=1.8, label=name)
        axis.set_title(title)
        axis.grid(axis="y")
        axis.tick_params(length=0, labelsize=8)
        axis.margins(x=0)
        if column != "episode_return" and column != "value_explained_variance":
            axis.set_ylim(bottom=0)
        axis.xaxis.set_major_formatter(_thousands)
        axis.locator_params(axis="x", nbins=5)
    for axis in axes[-1]:
        axis.set_xlabel("environment steps")
    if len(rows_of) > 1:
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=4 if size == "wide" else 2)
    return figure


def _thousands(value: float, _: int) -> str:
    return f"{value / 1e6:g} M" if value >= 1e6 else f"{value / 1e3:g} k" if value >= 1000 else f"{value:g}"


def _running_mean(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The mean of the nine values around each, of fewer at the ends."""
    reach = _SMOOTHED_ROWS // 2
    return np.array([values[max(0, place - reach) : place + reach + 1].mean() for place in range(len(values))])


def heat_map(listed: EvaluationList, names: Sequence[str], size: Size) -> Figure:
    """Crashes of each named policy by number of peers and by rank of the hazard car; every cell says crashes of hazards."""
    tables = {name: _cells(listed.records[name]) for name in names}
    peers = sorted({peer for table in tables.values() for peer, _ in table})
    ranks = sorted({rank for table in tables.values() for _, rank in table})
    rows, columns = (1, len(names)) if size == "wide" else (len(names), 1)
    each = 0.9 + 0.3 * max(1, len(ranks))
    figure, axes = new_figure(size, each if size == "wide" else each * len(names), rows, columns)
    for axis, name in zip(axes.flat, names, strict=True):
        for row, rank in enumerate(ranks):
            for column, peer in enumerate(peers):
                _cell(axis, column, row, tables[name].get((peer, rank)), size)
        axis.set_title(name)
        axis.set_xlim(-0.5, max(0.5, len(peers) - 0.5))
        axis.set_ylim(-0.5, max(0.5, len(ranks) - 0.5))
        axis.set_xticks(range(len(peers)), [str(peer) for peer in peers])
        axis.set_yticks(range(len(ranks)), [str(rank) for rank in ranks])
        axis.set_xlabel("cars of the convoy beside the ego")
        axis.set_ylabel("hazard: which car ahead")
        axis.tick_params(length=0)
        for spine in axis.spines.values():
            spine.set_visible(False)
    return figure


def _cells(records: Sequence[EpisodeRecord]) -> dict[tuple[int, int], tuple[int, int]]:
    """(peers, rank) -> (crashes, hazards)."""
    cells: dict[tuple[int, int], tuple[int, int]] = {}
    for record in records:
        if record.hazard_fired and record.hazard_rank is not None:
            crashes, hazards = cells.get((record.peer_count, record.hazard_rank), (0, 0))
            cells[record.peer_count, record.hazard_rank] = (crashes + record.collided, hazards + 1)
    return cells


def _cell(axis: Any, column: int, row: int, cell: tuple[int, int] | None, size: Size) -> None:
    from matplotlib.patches import Rectangle

    corner = (column - 0.47, row - 0.46)
    if cell is None:
        axis.add_patch(Rectangle(corner, 0.94, 0.92, facecolor="none", edgecolor=LINE, linewidth=0.5))
        return
    crashes, hazards = cell
    share = crashes / hazards
    # The colour alone carries nothing: the same numbers stand in the cell.
    axis.add_patch(Rectangle(corner, 0.94, 0.92, facecolor=RED, alpha=0.06 + 0.84 * share, linewidth=0))
    axis.text(
        column,
        row,
        f"{crashes}/{hazards}",
        ha="center",
        va="center",
        fontsize=7.5 if size == "wide" else 6,
        color=CARD if share > 0.75 else INK,
    )


def distributions(listed: EvaluationList, size: Size) -> Figure:
    """Cumulative distributions over episodes: the judged policies, the yardstick and never_brake."""
    names = [name for name in listed.records if name in (*listed.judged, "ttc_radio", "never_brake")]
    colours = policy_colours(listed.judged, listed.references)
    styles = {name: "-" if name in listed.judged else (0, (4, 2)) if name == "ttc_radio" else (0, (1, 1.5)) for name in names}
    every = [record for name in names for record in listed.records[name]]
    # How far a car was driven has a value in every episode, so there is one panel at least.
    shown = [panel for panel in _DISTRIBUTIONS if any(panel[3](record) is not None for record in every)]
    rows, columns = (1, len(shown)) if size == "wide" else (len(shown), 1)
    figure, axes = new_figure(size, 2.9 if size == "wide" else 0.4 + 1.8 * len(shown), rows, columns, sharey=size == "wide")
    for axis, (title, of, limit, value) in zip(axes.flat, shown, strict=True):
        counts = []
        for name in names:
            found = np.sort([number for record in listed.records[name] if (number := value(record)) is not None])
            counts.append(str(len(found)))
            if not len(found):
                continue
            heights = 100 * np.arange(len(found) + 1) / len(found)
            axis.step(np.concatenate((found[:1], found)), heights, where="post", color=colours[name], linestyle=styles[name], linewidth=1.8)
        axis.set_xlabel(title)
        axis.set_title(f"{of}: {' · '.join(counts)}", color=MUTED, fontsize=8, fontweight="normal")
        if limit is not None:
            axis.set_xlim(left=max(-0.1 * limit, axis.get_xlim()[0]), right=min(limit, axis.get_xlim()[1]))
        axis.set_ylim(0, 101)
        axis.grid()
        axis.tick_params(length=0, labelsize=8)
    axes[0, 0].set_ylabel("% of cases at or below")
    handles = [axes[0, 0].plot([], [], color=colours[name], linestyle=styles[name], label=name)[0] for name in names]
    figure.legend(handles=handles, loc="outside upper left", ncols=6 if size == "wide" else 2)
    return figure
