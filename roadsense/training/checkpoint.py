"""Checkpoints: RLlib's state plus our own counters, complete or absent; the newest ones are kept, and the best."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue
from ray.rllib.algorithms.ppo import PPO
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME

from roadsense.artifacts.files import write_json
from roadsense.artifacts.layout import RunLayout
from roadsense.config import Settings, read_json_object
from roadsense.errors import RunDirectoryError

_STATE = "roadsense.json"
_UNFINISHED = ".unfinished-"
_REMOVED = ".removed-"


class TrainingState(Settings):
    """Our own part of a checkpoint: what RLlib does not know, and what a resume is compared with.

    Attributes:
        recent_return: mean return of the last 100 episodes, by which the best checkpoint is chosen; None before the first one.
        generation: of the episodes that follow the checkpoint where the run is exact, else of those that led to it.
        quarantined: scenario that is left out -> why.
        versions: the packages that decide how a run goes on -> version.
        config: the run's settings.
    """

    timesteps: int
    iteration: int
    elapsed_s: float
    episodes: int
    faults: int
    worker_restarts: int
    workers_dropped: int = 0
    recent_return: float | None = None
    dataset_hash: str
    generation: int = 0
    quarantined: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    config: dict[str, JsonValue] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint on disk."""

    path: Path
    state: TrainingState


def save(algorithm: PPO, state: TrainingState, layout: RunLayout, keep: int) -> Checkpoint:
    """Write a checkpoint under a temporary name, then give it its own; a kill in between leaves the previous ones as they are.

    Raises:
        RunDirectoryError: the checkpoint cannot be written.
    """
    final = layout.checkpoints / f"step_{state.timesteps:09d}"
    unfinished = layout.checkpoints / f"{_UNFINISHED}{final.name}"
    try:
        _sweep(layout)
        unfinished.mkdir(parents=True)
        algorithm.save_to_path(unfinished)
        write_json(unfinished / _STATE, state.model_dump())
        _flush(unfinished)
        if final.exists():
            _remove(final)
        unfinished.rename(final)
    except OSError as problem:
        shutil.rmtree(unfinished, ignore_errors=True)  # on a full disk the next attempt needs the room
        raise RunDirectoryError(f"{final}: checkpoint cannot be written ({problem}); check permissions and free space") from None
    found = _complete(layout)
    best = _best(found)
    for old in found[:-keep]:
        if old != best:
            with suppress(OSError):
                _remove(old)
    return Checkpoint(final, state)


def latest(layout: RunLayout) -> Checkpoint:
    """The newest complete checkpoint of a run.

    Raises:
        RunDirectoryError: there is none, or its state is unreadable.
    """
    found = _complete(layout)
    if not found:
        raise RunDirectoryError(f"{layout.root}: no checkpoint to resume from; start a new run, or give the directory of one")
    return read(found[-1])


def read(path: Path) -> Checkpoint:
    """One checkpoint by its directory.

    Raises:
        RunDirectoryError: it is incomplete, or its state is unreadable.
    """
    return Checkpoint(path, TrainingState.load_json(path / _STATE, RunDirectoryError))


def restore(algorithm: PPO, checkpoint: Checkpoint) -> None:
    """Bring an algorithm to a checkpoint, and every env runner to its weights before it samples.

    RLlib's weight synchronisation is best effort: without the blocking push a runner can sample its first fragment with the random
    weights that it was created with.

    Raises:
        RunDirectoryError: the checkpoint is damaged.
    """
    try:
        algorithm.restore_from_path(checkpoint.path)
    except Exception as problem:
        first_line = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        raise RunDirectoryError(f"{checkpoint.path}: cannot be loaded ({first_line}); remove it to resume from the one before") from None
    # What is scheduled over the run (step size, entropy) is set after an update for the next one, and not part of RLlib's checkpoints.
    reached = {NUM_ENV_STEPS_SAMPLED_LIFETIME: checkpoint.state.timesteps}
    algorithm.learner_group.foreach_learner(lambda learner: learner.after_gradient_based_update(timesteps=reached))
    push_weights(algorithm)


def push_weights(algorithm: PPO) -> None:
    """Send the learner's weights to every env runner, and wait until they have them."""
    module_state = algorithm.learner_group.get_state(components="learner/rl_module", inference_only=True)["learner"]["rl_module"]
    # Sequence number 0 means "whatever you have, take this".
    state = {"rl_module": module_state, "weights_seq_no": 0}
    algorithm.env_runner_group.foreach_env_runner(lambda runner: runner.set_state(state), local_env_runner=True, timeout_seconds=None)


def _complete(layout: RunLayout) -> list[Path]:
    return sorted(path for path in layout.checkpoints.glob("step_*") if (path / _STATE).is_file())


def _best(checkpoints: list[Path]) -> Path | None:
    """The checkpoint with the highest recent return; of equals the newest."""
    rated = [(value, path) for path in checkpoints if (value := _recent_return(path)) is not None]
    return max(rated)[1] if rated else None


def _recent_return(path: Path) -> float | None:
    with suppress(RunDirectoryError):
        value: Any = read_json_object(path / _STATE, RunDirectoryError).get("recent_return")
        return float(value) if isinstance(value, int | float) else None
    return None


def _remove(path: Path) -> None:
    """Out of sight first: a kill in the middle of removing must not leave half a checkpoint under its name."""
    gone = path.with_name(f"{_REMOVED}{path.name}")
    path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _sweep(layout: RunLayout) -> None:
    """What a killed predecessor left half-written or half-removed."""
    for prefix in (_UNFINISHED, _REMOVED):
        for path in layout.checkpoints.glob(f"{prefix}*"):
            shutil.rmtree(path, ignore_errors=True)


def _flush(directory: Path) -> None:
    """To the disk itself: a machine that is taken away does not write its buffers back."""
    for path in [*directory.rglob("*"), directory]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
