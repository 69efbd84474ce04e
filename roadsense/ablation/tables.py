"""Figures with their intervals as JSON and as cells of a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from roadsense.evaluation.intervals import Interval
from roadsense.evaluation.pooled import Pooled

_ABSENT: Final = "--"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """How a figure is shown."""

    key: str
    heading: str
    factor: float
    digits: int


COLUMNS: Final = (
    Column(key="critical_hazard_collision_rate", heading="crashes, % of critical hazards", factor=100, digits=1),
    Column(key="hazard_collision_rate", heading="crashes, % of hazards", factor=100, digits=1),
    Column(key="false_braking_rate", heading="false braking, % of steps", factor=100, digits=2),
    Column(key="avg_reaction_s", heading="reaction, s", factor=1, digits=2),
    Column(key="avg_reward", heading="return", factor=1, digits=2),
)


def as_json(result: Pooled) -> dict[str, Any]:
    """A pooled figure as it stands in a result file."""
    interval = None if result.interval is None else list(result.interval)
    return {"value": result.value, "interval": interval, "by_seed": {str(seed): value for seed, value in result.by_seed.items()}}


def cell(column: Column, value: float | None, interval: Interval | Sequence[float] | None, *, signed: bool = False) -> str:
    """For example `2.8 (1.1 to 7.0)`."""
    if value is None:
        return _ABSENT
    text = _number(column, value, signed)
    return text if interval is None else f"{text} ({_number(column, interval[0], signed)} to {_number(column, interval[1], signed)})"


def by_seed(column: Column, values: Sequence[float | None]) -> str:
    """The figure of each seed, without intervals: `2.1 · 2.8 · 3.5`."""
    return " · ".join(_ABSENT if value is None else _number(column, value, signed=False) for value in values)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def _number(column: Column, value: float, signed: bool) -> str:
    shown = column.factor * value
    return f"{shown:+z.{column.digits}f}" if signed else f"{shown:z.{column.digits}f}"
