"""Keeping what a training has reached, also when its directory is full, read-only or gone."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from ray.rllib.algorithms.ppo import PPO

from roadsense.artifacts.files import atomic_path, write_json
from roadsense.artifacts.layout import RunLayout
from roadsense.env.record import EpisodeRecord
from roadsense.errors import RunDirectoryError
from roadsense.evaluation.episode_table import EpisodeTableWriter
from roadsense.training import checkpoint as checkpoints
from roadsense.training.checkpoint import TrainingState
from roadsense.training.plan import TrainingPlan
from roadsense.training.progress import Say

# A network file system may hiccup, and somebody may free space: so many iterations are made before the training gives up.
_ATTEMPTS = 5


class Saver:
    """Writes checkpoints and the episodes that belong to them.

    Attributes:
        saved_timesteps: what the newest checkpoint holds.
    """

    def __init__(self, plan: TrainingPlan, say: Say, saved_timesteps: int) -> None:
        self._plan = plan
        self._say = say
        self._unsaved: list[EpisodeRecord] = []
        self._failures = 0
        self.saved_timesteps = saved_timesteps

    def add(self, records: list[EpisodeRecord]) -> None:
        """Episodes for the next checkpoint."""
        self._unsaved.extend(records)

    def try_to_save(self, algorithm: PPO, state: TrainingState) -> bool:
        """Save, or tell the user that it is tried again after the next iteration.

        Raises:
            RunDirectoryError: this was the fifth failure in a row.
        """
        try:
            self.save(algorithm, state)
        except RunDirectoryError as problem:
            self._failures += 1
            if self._failures >= _ATTEMPTS:
                raise
            self._say(f"{problem}; the training goes on and tries again ({self._failures} of {_ATTEMPTS})")
            return False
        self._failures = 0
        return True

    def save(self, algorithm: PPO, state: TrainingState) -> None:
        """Write a checkpoint and its episodes.

        Raises:
            RunDirectoryError: they cannot be written; nothing of this attempt is left.
        """
        layout = self._plan.layout
        if not layout.config.is_file():
            raise RunDirectoryError(f"{layout.root}: the run directory is gone; restore it or its file system")
        self._save_to(layout, algorithm, state)
        self._unsaved = []
        self.saved_timesteps = state.timesteps

    def rescue(self, algorithm: PPO, state: TrainingState) -> Path:
        """Write a run directory that can be resumed into the temporary directory, with what can still be read of the old one.

        Raises:
            RunDirectoryError: there is no room either.
        """
        try:
            root = Path(tempfile.mkdtemp(prefix=f"roadsense-rescued-{self._plan.run_id}-"))
        except OSError as problem:
            raise RunDirectoryError(f"nothing can be written to {tempfile.gettempdir()} either ({problem.strerror})") from None
        layout, old = RunLayout(root), self._plan.layout
        try:
            write_json(layout.config, state.config)
            for path in (old.generations, old.progress, old.manifest, old.provenance):
                with suppress(OSError):
                    shutil.copyfile(path, root / path.name)
            with suppress(OSError, shutil.Error):
                shutil.copytree(old.training_episodes, layout.training_episodes)
            self._save_to(layout, algorithm, state)
        except (OSError, RunDirectoryError):
            shutil.rmtree(root, ignore_errors=True)
            raise RunDirectoryError(f"nothing can be written to {tempfile.gettempdir()} either") from None
        return root

    def _save_to(self, layout: RunLayout, algorithm: PPO, state: TrainingState) -> None:
        """Episodes first: a checkpoint must never be ahead of the table that belongs to it."""
        part = layout.training_episodes / f"until_{state.timesteps:09d}.parquet"
        try:
            with atomic_path(part) as temporary, EpisodeTableWriter(temporary) as table:
                for record in self._unsaved:
                    table.add(record, phase="train", policy="learning")
            checkpoints.save(algorithm, state, layout, self._plan.settings.keep_checkpoints)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


def parts_until(layout: RunLayout, until_timesteps: int) -> list[Path]:
    """The parts of the episode table that belong to a checkpoint, in order; later ones are removed, for they are driven again."""
    parts = []
    for part in sorted(layout.training_episodes.glob("until_*.parquet")):
        if int(part.stem.removeprefix("until_")) > until_timesteps:
            part.unlink()
        else:
            parts.append(part)
    return parts
