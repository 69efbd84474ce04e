"""The figures of one training iteration, as every output shows them: terminal, progress.csv and TensorBoard."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from roadsense.env.record import EpisodeRecord
from roadsense.evaluation.metrics import summarise

# Episodes over which the live rates are taken.
RECENT_EPISODES: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationFigures:
    """One row of progress.csv. Rates cover the last 100 finished episodes and are None before the first one."""

    timesteps: int
    iteration: int
    elapsed_s: float
    steps_per_s: float
    episodes: int
    episode_return: float | None
    episode_length: float | None
    collision_rate: float | None
    hazard_collision_rate: float | None
    false_braking_rate: float | None
    healthy_workers: int
    worker_restarts: int
    workers_dropped: int
    faults: int
    quarantined: int
    sampling_s: float | None
    learning_s: float | None
    synchronising_s: float | None
    policy_loss: float | None
    value_loss: float | None
    value_explained_variance: float | None
    entropy: float | None
    learning_rate: float | None

    def as_row(self) -> dict[str, Any]:
        """Column name -> value, in order."""
        return asdict(self)


class RecentEpisodes:
    """The last finished episodes, and totals over all of them."""

    def __init__(self, episodes: int = 0, faults: int = 0) -> None:
        self._recent: deque[EpisodeRecord] = deque(maxlen=RECENT_EPISODES)
        self.episodes = episodes
        self.faults = faults

    def recall(self, records: Iterable[EpisodeRecord]) -> None:
        """Episodes that were counted before a resume: the rates go on from them."""
        self._recent.extend(records)

    def add(self, records: list[EpisodeRecord], faults: int) -> None:
        """Count finished episodes, and failed ones, whether they left a record or not."""
        self._recent.extend(records)
        self.episodes += len(records)
        self.faults += faults

    def figures(self) -> dict[str, Any]:
        """The rates of `IterationFigures`."""
        summary = summarise(self._recent)
        return {
            "episodes": self.episodes,
            "faults": self.faults,
            "episode_return": summary["avg_reward"],
            "episode_length": summary["avg_length"],
            "collision_rate": summary["collision_rate"],
            "hazard_collision_rate": summary["hazard_collision_rate"],
            "false_braking_rate": summary["false_braking_rate"],
        }
