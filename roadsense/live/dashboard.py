"""What the dashboard of a training says, for any width; where and when it is painted is the business of screen.py.

Every name is that of the column in progress.csv and, behind its group, in TensorBoard.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rich.text import Text

from roadsense.artifacts.cost import cost_so_far
from roadsense.live.sparkline import ASCII_BLOCKS, BLOCKS, sparkline
from roadsense.training.figures import IterationFigures

# Column, how its value is written.
_CURVES: Final[tuple[tuple[str, Callable[[float], str]], ...]] = (
    ("episode_return", lambda value: f"{value:.2f}"),
    ("hazard_collision_rate", lambda value: f"{100 * value:.1f} %"),
    ("false_braking_rate", lambda value: f"{100 * value:.2f} %"),
    ("steps_per_s", lambda value: f"{value:,.0f}"),
)
_COUNTS: Final = ("worker_restarts", "workers_dropped", "faults", "quarantined")
_ALWAYS_SHOWN: Final = ("worker_restarts", "faults", "quarantined")
_NAME_WIDTH: Final = max(len(name) for name, _ in _CURVES)
_VALUE_WIDTH: Final = 8
_MOST_WIDTH: Final = 100  # wider says no more, and a terminal may be made narrower without breaking it
_WIDTH_WITH_RANGE: Final = 64
_RATE_ITERATIONS: Final = 10  # over which the speed for the ETA is taken
_SILENCE_S: Final = 30.0
_SILENCE_ITERATIONS: Final = 5.0


class Dashboard:
    """The state of a training as its last iterations told it.

    Args:
        title: of the run.
        total_timesteps: at which it ends.
        clock: seconds; for tests.
    """

    def __init__(self, title: str, total_timesteps: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._title = title
        self._total = total_timesteps
        self._clock = clock
        self._series: dict[str, list[float | None]] = {name: [] for name, _ in _CURVES}
        self._recent: list[tuple[int, float]] = []  # (timesteps, elapsed_s)
        self._last: IterationFigures | None = None
        self._drawn: tuple[tuple[int, str, int], list[Text]] | None = None
        self._most_workers = 0
        self._began_s = self._told_s = clock()

    def recall(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows of progress.csv before a resume: the curves go on from them."""
        for row in rows:
            for name, series in self._series.items():
                text = row.get(name)
                series.append(float(text) if text not in (None, "") else None)

    def add(self, figures: IterationFigures) -> None:
        """One more iteration."""
        for name, series in self._series.items():
            series.append(getattr(figures, name))
        self._recent = [*self._recent[-_RATE_ITERATIONS:], (figures.timesteps, figures.elapsed_s)]
        self._most_workers = max(self._most_workers, figures.healthy_workers)
        self._last, self._told_s = figures, self._clock()

    def lines(self, width: int, height: int = 24, *, letters: str = "utf-8") -> list[Text]:
        """At most `height` lines of at most `width` cells, the most important first; `letters` is the encoding of the terminal."""
        width = max(1, min(width, _MOST_WIDTH))
        unicode = _can_write(letters, BLOCKS + "━─·")
        between = " · " if unicode else " | "
        head = _flow([Text(self._title, style="bold"), *self._times()], width, between)
        body = [self._bar(width, unicode), *self._curves(width, BLOCKS if unicode else ASCII_BLOCKS)]
        lines = [*head, *body, *_flow(self._counts(), width, between)]
        for line in lines:
            line.truncate(width, overflow="ellipsis" if unicode else "crop")
        return lines if len(lines) <= height else [body[0], *lines[: max(0, height - 1)]][:height]

    def _times(self) -> list[Text]:
        since_s = self._clock() - self._told_s
        if self._last is None:
            return [Text(f"starting {clock_text(self._clock() - self._began_s)}", style="yellow")]
        times = [Text(f"elapsed {clock_text(self._last.elapsed_s + since_s)}"), Text(f"ETA {self._eta(since_s)}", style="cyan")]
        if since_s > max(_SILENCE_S, _SILENCE_ITERATIONS * self._iteration_s()):
            times.append(Text(f"nothing for {clock_text(since_s)}", style="bold yellow"))
        return times

    def _iteration_s(self) -> float:
        (_, first_s), (_, last_s) = self._recent[0], self._recent[-1]
        return (last_s - first_s) / (len(self._recent) - 1) if len(self._recent) > 1 else last_s

    def _eta(self, since_s: float) -> str:
        last = self._recent[-1]
        first = self._recent[0] if len(self._recent) > 1 else (0, 0.0)
        steps, seconds = last[0] - first[0], last[1] - first[1]
        if self._last is None or steps <= 0 or seconds <= 0:
            return "--"
        return clock_text(max(0.0, (self._total - last[0]) * seconds / steps - since_s))

    def _bar(self, width: int, unicode: bool) -> Text:
        done = 0 if self._last is None else self._last.timesteps
        share = min(1.0, done / self._total) if self._total else 1.0
        told = f" {100 * share:3.0f} %  {done:,}/{self._total:,} steps"
        room = width - len(told)
        if room < 4:
            return Text(told.strip())
        filled = round(share * room)
        full, empty = ("━", "─") if unicode else ("=", "-")
        return Text.assemble((full * filled, "green"), (empty * (room - filled), "dim"), told)

    def _curves(self, width: int, blocks: str) -> list[Text]:
        key = (width, blocks, len(self._series[_CURVES[0][0]]))
        if self._drawn is None or self._drawn[0] != key:  # once an iteration, not with every tick of the clock
            self._drawn = (key, [self._curve(name, form, width, blocks) for name, form in _CURVES])
        return [line.copy() for line in self._drawn[1]]

    def _curve(self, name: str, form: Callable[[float], str], width: int, blocks: str) -> Text:
        series = self._series[name]
        last = series[-1] if series else None
        line = Text.assemble((f"{name:<{_NAME_WIDTH}} ", "dim"), (f"{'--' if last is None else form(last):>{_VALUE_WIDTH}}", "bold"))
        room = width - len(line) - 1
        known = [value for value in series if value is not None]
        told = f" {form(min(known))} to {form(max(known))}" if known and width >= _WIDTH_WITH_RANGE else ""
        room -= 20 if width >= _WIDTH_WITH_RANGE else 0
        if room >= 4:
            line.append(" ").append(f"{sparkline(series, room, blocks):<{room}}", "cyan").append(told, "dim")
        line.rstrip()
        return line

    def _counts(self) -> list[Text]:
        last = self._last
        if last is None:
            return []
        lost = last.healthy_workers < self._most_workers
        counts = [Text(f"healthy_workers {last.healthy_workers}", style="bold yellow" if lost else "")]
        for name in _COUNTS:
            value = getattr(last, name)
            if value or name in _ALWAYS_SHOWN:
                counts.append(Text(f"{name} {value}", style="bold yellow" if value else ""))
        cost = cost_so_far()
        if cost is not None:
            counts.append(Text(f"cost_usd {cost.cost_usd:.2f} (at most {cost.cost_usd_at_most:.2f})"))
        return counts


def clock_text(seconds: float) -> str:
    """1:02:03, or 02:03 below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def _flow(parts: Sequence[Text], width: int, between: str) -> list[Text]:
    """Parts side by side as far as they fit, further ones on lines of their own; none is broken."""
    lines: list[Text] = []
    for part in parts:
        if lines and lines[-1].cell_len + len(between) + part.cell_len <= width:
            lines[-1].append(between, "dim").append_text(part)
        else:
            lines.append(Text().append_text(part))
    return lines


def _can_write(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
