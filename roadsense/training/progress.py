"""What a user sees while a training runs, and what stays of it: a line per iteration, progress.csv, TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from tensorboardX import SummaryWriter

from roadsense.artifacts.cost import cost_so_far
from roadsense.artifacts.files import atomic_path
from roadsense.artifacts.layout import RunLayout
from roadsense.errors import RunDirectoryError
from roadsense.training.figures import IterationFigures
from roadsense.training.ray_metrics import RayMetrics

Say = Callable[[str], None]  # shows one line to the user

_COLUMNS = [field.name for field in fields(IterationFigures)]


class ProgressLog:
    """Writes every iteration to all outputs; on resume it goes on behind `start_step`, so that there is one series.

    Raises:
        RunDirectoryError: progress.csv cannot be read or written.
    """

    def __init__(self, layout: RunLayout, total_timesteps: int, say: Say, start_step: int = 0) -> None:
        self._total_timesteps = total_timesteps
        self._say = say
        self._metrics = RayMetrics()
        self._keep_rows_until(layout, start_step)
        self._file = layout.progress.open("a", newline="", encoding="utf-8")
        self._rows = csv.DictWriter(self._file, _COLUMNS)
        layout.tensorboard.mkdir(exist_ok=True)
        self._board = SummaryWriter(str(layout.tensorboard), purge_step=start_step + 1 if start_step else None)

    def add(self, figures: IterationFigures) -> None:
        """Show and write one iteration."""
        row = figures.as_row()
        self._rows.writerow(row)
        self._file.flush()
        for name, value in row.items():
            if value is not None and name != "timesteps":
                self._board.add_scalar(_board_name(name), value, figures.timesteps)
        self._metrics.publish(figures)
        self._say(line(figures, self._total_timesteps))

    def close(self) -> None:
        """Flush and close the files."""
        self._file.close()
        self._board.close()

    @staticmethod
    def _keep_rows_until(layout: RunLayout, start_step: int) -> None:
        """Leave the header and the rows up to the checkpoint; later ones are driven again."""
        rows: list[dict[str, Any]] = []
        if start_step and layout.progress.exists():
            with layout.progress.open(newline="", encoding="utf-8") as file:
                try:
                    rows = [row for row in csv.DictReader(file) if int(row["timesteps"]) <= start_step]
                except (KeyError, TypeError, ValueError):
                    raise RunDirectoryError(f"{layout.progress}: not a progress table; restore or remove it before --resume") from None
        with atomic_path(layout.progress) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)


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
        + (f"  faults {figures.faults}" if figures.faults else "")
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
