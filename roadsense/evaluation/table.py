"""The tables at the end, for a terminal of 100 columns: figures side by side, crashes by base scenario, and policy against policy."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from roadsense.evaluation.judgement import BASELINE, Judgement

# Heading, figure, format; "rate" is a percentage with its interval.
_COLUMNS: Final = (
    ("hazard\ncrashes", "hazard_collision_rate", "rate"),
    ("critical\ncrashes", "critical_hazard_collision_rate", "rate"),
    ("false\nbraking", "false_braking_rate", "rate"),
    ("react\ns", "avg_reaction_s", "{:.2f}"),
    ("peak\nm/s2", "avg_peak_braking_mps2", "{:.1f}"),
    ("hit\nm/s", "avg_impact_speed_mps", "{:.1f}"),
    ("driven\nm", "avg_progress_m", "{:.0f}"),
    ("return", "avg_reward", "{:.2f}"),
)
_LEGEND: Final = (
    "in brackets: 95 % interval; critical: hazards in which never_brake crashes; react: after the first message heard; "
    "peak: hardest braking by the agent; hit: impact speed; --: no case"
)
_PAIRED_LEGEND: Final = "differences: the first minus the other, with 95 % interval; p: McNemar, exact"
_WIDTH: Final = 100
_POLICY_WIDTH: Final = 17  # the longest name of a reference policy
_ABSENT: Final = "--"


def table_console() -> Console:
    """Standard output as wide as its terminal; a file or pipe has no width of its own, and gets the one that the tables are made for."""
    has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, width=None if has_width else _WIDTH)


def print_judgement(console: Console, judgement: Judgement, title: str) -> None:
    """Print every table that has something to say."""
    console.print(comparison_table(judgement.figures, title))
    console.print(_LEGEND)
    if not judgement.knows_critical_hazards:
        console.print(f"critical crashes are unknown: evaluate {BASELINE} on the same episodes", soft_wrap=True)
    if len(_bases(judgement.figures)) > 1:
        console.print("", base_table(judgement.figures))
    if judgement.paired:
        console.print("", paired_table(judgement.paired), _PAIRED_LEGEND)


def comparison_table(figures: Mapping[str, Mapping[str, Any]], title: str) -> Table:
    """One row per policy, in the order given; `--` where a figure has no case."""
    table = _table(title)
    for heading, _, form in _COLUMNS:
        # On a narrow terminal an interval goes below its rate; a number is never cut.
        table.add_column(heading, justify="right", no_wrap=form != "rate")
    for name, values in figures.items():
        table.add_row(_folded(name), *(_cell(values, key, form) for _, key, form in _COLUMNS))
    return table


def base_table(figures: Mapping[str, Mapping[str, Any]]) -> Table:
    """Hazard crashes of every policy (rows) by base scenario (columns)."""
    table = _table("hazard crashes by base scenario")
    bases = _bases(figures)
    for base in bases:
        table.add_column(base.replace("_", "\n", 1), justify="right")
    for name, values in figures.items():
        by_base = {group["base"]: group for group in values["breakdowns"]["base"]}
        table.add_row(_folded(name), *(_cell(by_base.get(base, {}), "hazard_collision_rate", "rate") for base in bases))
    return table


def paired_table(paired: Sequence[Mapping[str, Any]]) -> Table:
    """The judged policy against each other one on the same episodes."""
    table = _table(f"{paired[0]['a']} against ... on the same episodes")
    for heading in ("crashes\navoided", "crashes\ncaused", "p", "hazard crashes\npercentage points", "return"):
        table.add_column(heading, justify="right")
    for pair in paired:
        rate = _difference(pair, "hazard_collision_rate_difference", 100, "{:+z.1f}")
        reward = _difference(pair, "avg_reward_difference", 1, "{:+z.2f}")
        table.add_row(
            _folded(pair["b"]), str(pair["crashes_avoided"]), str(pair["crashes_caused"]), f"{pair['mcnemar_p']:.2g}", rate, reward
        )
    return table


def _table(title: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("policy", no_wrap=True)
    return table


def _folded(policy: str) -> str:
    """A long name over several lines: that of one's own policy or file has no limit."""
    return escape("\n".join(policy[start : start + _POLICY_WIDTH] for start in range(0, len(policy), _POLICY_WIDTH)))


def _bases(figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(group["base"] for values in figures.values() for group in values["breakdowns"]["base"]))


def _cell(values: Mapping[str, Any], key: str, form: str) -> str:
    value = values.get(key)
    if value is None:
        return _ABSENT
    return _rate(value, values["intervals"][key]) if form == "rate" else form.format(value)


def _rate(value: float, interval: Sequence[float] | None) -> str:
    """For example 3.1% (1.4-6.6); whole percents from 10 on, where the interval is wider than a digit."""
    if interval is None:
        return f"{_percent(value)}%"
    return f"{_percent(value)}% ({_percent(interval[0])}-{_percent(interval[1])})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if 100 * share < 9.95 else f"{100 * share:.0f}"


def _difference(pair: Mapping[str, Any], key: str, scale: float, form: str) -> str:
    value, interval = pair[key], pair["intervals"][key]
    if value is None:
        return _ABSENT
    text = form.format(scale * value)
    return text if interval is None else f"{text} ({form.format(scale * interval[0])} to {form.format(scale * interval[1])})"
