"""Who hears of a training: its log file always, and a terminal with a dashboard, a pipe with lines, or nobody."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TextIO

from roadsense.live.dashboard import Dashboard
from roadsense.live.screen import Screen
from roadsense.training.figures import IterationFigures
from roadsense.training.progress import line as progress_line

_DUMB: Final = ("dumb", "unknown")


class Teller:
    """Takes what a training tells (`say`, and the iterations as a `Watch`); every call returns at once.

    Args:
        log: training.log of the run, which gets every line, progress included.
        total_timesteps: at which the run ends.
        screen: where lines are shown; None for nobody.
        dashboard: shows the iterations instead of lines, as the screen's block.
    """

    def __init__(self, log: Path, total_timesteps: int, screen: Screen | None, dashboard: Dashboard | None) -> None:
        self._log = log
        self._total_timesteps = total_timesteps
        self._screen = screen
        self._dashboard = dashboard

    def say(self, line: str) -> None:
        """A line that stays."""
        self._keep(line)
        if self._screen is not None:
            self._screen.line(line)

    def recall(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows of progress.csv from before a resume."""
        if self._dashboard is not None:
            self._dashboard.recall(rows)

    def iteration(self, figures: IterationFigures) -> None:
        """One more iteration is done."""
        line = progress_line(figures, self._total_timesteps)
        if self._dashboard is None:
            self.say(line)
            return
        self._keep(line)
        self._dashboard.add(figures)
        if self._screen is not None:
            self._screen.refresh()

    def _keep(self, line: str) -> None:
        with suppress(OSError), self._log.open("a", encoding="utf-8") as log:  # a full disk must not end the training here
            log.write(f"{line}\n")


@contextmanager
def telling(log: Path, title: str, total_timesteps: int, *, quiet: bool = False, stream: TextIO | None = None) -> Iterator[Teller]:
    """A teller for the time of a training: a dashboard where `stream` (standard error) is a terminal that can show one, else lines."""
    stream = sys.stderr if stream is None else stream
    if quiet:
        yield Teller(log, total_timesteps, None, None)
        return
    dashboard = Dashboard(title, total_timesteps) if can_paint(stream) else None
    block = None if dashboard is None else partial(dashboard.lines, letters=stream.encoding or "utf-8")
    with ExitStack() as stack:
        screen = stack.enter_context(Screen(stream, block))
        if dashboard is not None:
            _divert(stack, screen)
        yield Teller(log, total_timesteps, screen, dashboard)


def can_paint(stream: TextIO) -> bool:
    """Whether a block can be painted over: a terminal that moves its cursor."""
    with suppress(ValueError):  # closed
        return stream.isatty() and os.environ.get("TERM", "dumb").lower() not in _DUMB
    return False


class _Diverted(io.TextIOBase):
    """Whatever else is printed on the terminal meanwhile, line by line above the block."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._begun = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._screen.line(line)
        return len(text)

    def end(self) -> None:
        """What has no newline yet."""
        if self._begun:
            self._screen.line(self._begun)
            self._begun = ""


def _divert(stack: ExitStack, screen: Screen) -> None:
    for current, redirect in ((sys.stdout, redirect_stdout), (sys.stderr, redirect_stderr)):
        if current is not None and current.isatty():
            diverted = _Diverted(screen)
            stack.callback(diverted.end)
            stack.enter_context(redirect(diverted))
