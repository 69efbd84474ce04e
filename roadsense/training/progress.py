"""What a user sees while a training runs, and what stays of it: a line per iteration, progress.csv, TensorBoard."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any, Protocol

from roadsense.artifacts.cost import cost_so_far
from roadsense.artifacts.files import atomic_path
from roadsense.artifacts.layout import RunLayout
from roadsense.errors import RunDirectoryError
from roadsense.training.board import Board
from roadsense.training.figures import IterationFigures
from roadsense.training.ray_metrics import RayMetrics

Say = Callable[[str], None]  # shows one line to the user


class Watch(Protocol):
    """Shows the iterations in another way than as lines, see `roadsense.live`."""

    def recall(self, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Rows of progress.csv from before a resume."""
        ...

    def iteration(self, figures: IterationFigures, /) -> None:
        """One more iteration is done."""
        ...


_COLUMNS = [field.name for field in fields(IterationFigures)]


class ProgressLog:
    """Writes every iteration to all outputs; on resume it goes on behind `start_step`, so that there is one series.

    Without a `watch`, `say` is told a line per iteration.

    What cannot be written now (a full disk) is kept and written with a later row; a training does not end because of its log.

    Attributes:
        returns: [steps, mean return of the last 100 episodes] of every iteration so far, those before a resume included.

    Raises:
        RunDirectoryError: progress.csv cannot be read or written.
    """

    def __init__(self, layout: RunLayout, total_timesteps: int, say: Say, start_step: int = 0, watch: Watch | None = None) -> None:
        self._total_timesteps = total_timesteps
        self._say = say
        self._watch = watch
        self._metrics = RayMetrics()
        self._path = layout.progress
        self._unwritten = ""
        self._has_failed = False
        earlier = self._keep_rows_until(layout, start_step)
        self.returns = [[float(row["timesteps"]), float(row["episode_return"])] for row in earlier if row.get("episode_return")]
        if watch is not None:
            watch.recall(earlier)
        self._board = Board(layout.tensorboard, start_step)

    def add(self, figures: IterationFigures) -> None:
        """Show and write one iteration."""
        row = figures.as_row()
        if figures.episode_return is not None:
            self.returns.append([float(figures.timesteps), figures.episode_return])
        self._unwritten += _csv_line(row)
        values = {_board_name(name): float(value) for name, value in row.items() if value is not None and name != "timesteps"}
        try:
            self._append()
            self._board.add(values, figures.timesteps)
            self._has_failed = False
        except OSError as problem:
            if not self._has_failed:
                self._say(f"progress cannot be written ({problem}); the training goes on, free some space or restore {self._path.parent}")
            self._has_failed = True
        self._metrics.publish(figures)
        if self._watch is not None:
            self._watch.iteration(figures)
        else:
            self._say(line(figures, self._total_timesteps))

    def close(self) -> None:
        """Write what is left, if it can be written, and close the files."""
        with suppress(OSError):
            self._append()
        self._board.close()

    def _append(self) -> None:
        """All unwritten rows or, as far as the disk lets us choose, none."""
        if not self._unwritten:
            return
        # Opened anew each time: a file that was removed would take rows for ever without a word.
        with self._path.open("r+", encoding="utf-8", newline="") as file:
            end = file.seek(0, os.SEEK_END)
            try:
                file.write(self._unwritten)
                file.flush()
            except OSError:
                os.truncate(self._path, end)
                raise
        self._unwritten = ""

    @staticmethod
    def _keep_rows_until(layout: RunLayout, start_step: int) -> list[dict[str, Any]]:
        """Leave the header and the rows up to the checkpoint; later ones, the half row of a full disk included, are driven again."""
        rows: list[dict[str, Any]] = []
        if start_step and layout.progress.exists():
            with layout.progress.open(newline="", encoding="utf-8") as file:
                try:
                    for row in csv.DictReader(file):
                        if int(row["timesteps"]) > start_step:
                            break
                        rows.append(row)
                except (KeyError, TypeError, ValueError, csv.Error):
                    raise RunDirectoryError(f"{layout.progress}: not a progress table; restore or remove it before --resume") from None
        with atomic_path(layout.progress) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        return rows


def _csv_line(row: dict[str, Any]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, _COLUMNS).writerow(row)
    return text.getvalue()


def line(figures: IterationFigures, total_timesteps: int) -> str:
    """One line of live progress."""
    left = max(0, total_timesteps - figures.timesteps)
    eta_s = left / figures.steps_per_s if figures.steps_per_s > 0 else 0.0
    cost = cost_so_far()
    return (
        f"{figures.timesteps:>9,}/{total_timesteps:,} steps  {figures.steps_per_s:6,.0f} steps/s  ETA {_clock(eta_s)}  "
        f"return {_number(figures.episode_return, '6.2f')}  collisions {_percent(figures.collision_rate)}  "
        f"false braking {_percent(figures.false_braking_rate)}  workers {figures.healthy_workers}"
        + (f"  restarts {figures.worker_restarts}" if figures.worker_restarts else "")
        + (f"  dropped {figures.workers_dropped}" if figures.workers_dropped else "")
        + (f"  faults {figures.faults}" if figures.faults else "")
        + (f"  quarantined {figures.quarantined}" if figures.quarantined else "")
        + (f"  ${cost.cost_usd:.2f}" if cost is not None else "")
    )


def _board_name(column: str) -> str:
    group = "episodes" if column.startswith(("episode", "collision", "hazard", "false")) else "training"
    if column in ("policy_loss", "value_loss", "value_explained_variance", "entropy", "learning_rate"):
        group = "learner"
    return f"{group}/{column}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def _number(value: float | None, form: str) -> str:
    return format(value, form) if value is not None else "    --"


def _percent(value: float | None) -> str:
    return f"{100 * value:5.1f} %" if value is not None else "   -- %"
