"""A recorded episode, played again exactly: same identity, same stored actions, hence the same course."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.outcome import Outcome
from roadsense.env.record import EpisodeRecord
from roadsense.errors import UsageError
from roadsense.evaluation.episode_table import read_episodes, records_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A recorded episode beside its replay; `differences` is empty when both are equal."""

    recorded: EpisodeRecord
    replayed: EpisodeRecord
    differences: tuple[str, ...]


def recorded_episode(table: Path, row: int) -> tuple[EpisodeRecord, str]:
    """The row-th episode of a table, counted from 0, and the name of the policy that drove it.

    Raises:
        UsageError: the table is shorter, or the episode broke off with a fault and has no defined course.
        RunDirectoryError: the table cannot be read.
    """
    rows: list[dict[str, Any]] = list(islice(read_episodes(table), row, row + 1)) if row >= 0 else []
    if not rows:
        count = sum(1 for _ in read_episodes(table))
        raise UsageError(f"episode {row} does not exist; {table} holds episodes 0 to {count - 1}")
    record, policy = next(records_of(rows)), str(rows[0]["policy"])
    if record.outcome is Outcome.FAULT:
        raise UsageError(f"episode {row} broke off when the simulator failed; choose another one")
    return record, policy


def replay(env: ConvoyEnv, recorded: EpisodeRecord, watch: Callable[[float | None], None] | None = None) -> Replay:
    """Drive the recorded actions again and compare every figure.

    `watch` is called with the decision that led here: None after the reset, then the action after every step.

    Raises:
        UsageError: the recorded actions do not end the episode.
    """
    env.reset(options={"identity": recorded.identity, "scenario_id": recorded.scenario_id})
    if watch is not None:
        watch(None)
    replayed: EpisodeRecord | None = None
    for action in recorded.actions:
        *_, info = env.step(np.array([action], dtype=np.float32))
        if watch is not None:
            watch(action)
        replayed = info.get("record")
        if replayed is not None:
            break
    if replayed is None:
        raise UsageError(f"{recorded.identity} goes on after its recorded {recorded.steps} steps; the task or SUMO has changed since")
    differences = tuple(
        f"{field.name}: recorded {getattr(recorded, field.name)}, replayed {getattr(replayed, field.name)}"
        for field in fields(EpisodeRecord)
        if getattr(recorded, field.name) != getattr(replayed, field.name)
    )
    return Replay(recorded=recorded, replayed=replayed, differences=differences)
