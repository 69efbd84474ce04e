"""Checkpoints: RLlib's state plus our own counters, complete or absent, newest ones kept."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from ray.rllib.algorithms.ppo import PPO

from roadsense.artifacts.files import write_json
from roadsense.artifacts.layout import RunLayout
from roadsense.config import Settings
from roadsense.errors import RunDirectoryError

_STATE = "roadsense.json"
_UNFINISHED = ".unfinished-"


class TrainingState(Settings):
    """Our own part of a checkpoint."""

    timesteps: int
    iteration: int
    elapsed_s: float
    episodes: int
    faults: int
    worker_restarts: int
    dataset_hash: str


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
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        algorithm.save_to_path(unfinished)
        write_json(unfinished / _STATE, state.model_dump())
        if final.exists():
            shutil.rmtree(final)
        unfinished.rename(final)
    except OSError as problem:
        raise RunDirectoryError(f"{final}: checkpoint cannot be written ({problem}); check permissions and free space") from None
    for old in _complete(layout)[:-keep]:
        shutil.rmtree(old)
    return Checkpoint(final, state)


def latest(layout: RunLayout) -> Checkpoint:
    """The newest complete checkpoint of a run.

    Raises:
        RunDirectoryError: there is none, or its state is unreadable.
    """
    found = _complete(layout)
    if not found:
        raise RunDirectoryError(f"{layout.root}: no checkpoint to resume from; start a new run, or give the directory of one")
    return Checkpoint(found[-1], TrainingState.load_json(found[-1] / _STATE, RunDirectoryError))


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
    push_weights(algorithm)


def push_weights(algorithm: PPO) -> None:
    """Send the learner's weights to every env runner, and wait until they have them."""
    module_state = algorithm.learner_group.get_state(components="learner/rl_module", inference_only=True)["learner"]["rl_module"]
    # Sequence number 0 means "whatever you have, take this".
    state = {"rl_module": module_state, "weights_seq_no": 0}
    algorithm.env_runner_group.foreach_env_runner(lambda runner: runner.set_state(state), local_env_runner=True, timeout_seconds=None)


def _complete(layout: RunLayout) -> list[Path]:
    return sorted(path for path in layout.checkpoints.glob("step_*") if (path / _STATE).is_file())
