"""The table at the end: one row per policy, the figures that matter side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

_COLUMNS = (
    ("hazard\ncrashes", "hazard_collision_rate", "{:.1%}"),
    ("all\ncrashes", "collision_rate", "{:.1%}"),
    ("false\nbraking", "false_braking_rate", "{:.1%}"),
    ("react\ns", "avg_reaction_s", "{:.2f}"),
    ("impact\nm/s", "avg_impact_speed_mps", "{:.1f}"),
    ("driven\nm", "avg_progress_m", "{:.0f}"),
    ("return", "avg_reward", "{:.2f}"),
)


def comparison_table(figures: Mapping[str, Mapping[str, Any]], title: str) -> Table:
    """A rich table with one row per policy, in the order given; `--` where a figure has no case."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 1), pad_edge=False)
    table.add_column("policy", no_wrap=True)
    for heading, _, _ in _COLUMNS:
        table.add_column(heading, justify="right")
    for name, values in figures.items():
        table.add_row(name, *(_cell(values.get(key), form) for _, key, form in _COLUMNS))
    return table


def _cell(value: float | None, form: str) -> str:
    return "--" if value is None else form.format(value)
