"""What is measured: every figure is a ratio of two sums over episodes. A figure that is not listed here is not reported with an interval.

Definitions and units for readers: docs/evaluation.md. Every figure can get worse: each is tested by worsening the episodes it measures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Final

import numpy as np

from roadsense.env.record import EpisodeRecord
from roadsense.evaluation.intervals import IntArray, Interval, mean_interval, proportion_interval, share_interval, sum_by_scenario
from roadsense.state import FloatArray

# A larger time to collision is no danger, and a car that is never approached has none at all: both count as this.
TIME_TO_COLLISION_CAP_S: Final = 10.0

Count = Callable[[EpisodeRecord], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The sum of `part` over the sum of `whole`; an episode in which `whole` is 0 is no case of it."""

    key: str
    part: Count
    whole: Count
    interval: Callable[[FloatArray, FloatArray], Interval | None]

    def sums(self, records: Sequence[EpisodeRecord], cluster_E: IntArray) -> tuple[FloatArray, FloatArray]:
        """Numerators and denominators by scenario, two arrays of shape (C,)."""
        part = np.array([self.part(record) for record in records], dtype=np.float64)
        whole = np.array([self.whole(record) for record in records], dtype=np.float64)
        return sum_by_scenario(part, cluster_E), sum_by_scenario(whole, cluster_E)

    def estimate(self, records: Sequence[EpisodeRecord], cluster_E: IntArray) -> tuple[float | None, Interval | None]:
        """Value and interval over episodes whose scenario is numbered by `cluster_E`; both None without a case."""
        part_C, whole_C = self.sums(records, cluster_E)
        if not whole_C.sum():
            return None, None
        return float(part_C.sum() / whole_C.sum()), self.interval(part_C, whole_C)


def scenario_numbers(records: Sequence[EpisodeRecord]) -> IntArray:
    """The scenario of each episode as a number from 0, shape (E,).

    With a single scenario there is nothing to compare it with: its episodes stand for themselves, and the intervals speak of it alone.
    """
    _, numbers = np.unique([record.scenario_id for record in records], return_inverse=True)
    return np.arange(len(records)) if len(records) and not numbers.any() else numbers.astype(np.intp)


def estimates(figures: Iterable[Figure], records: Sequence[EpisodeRecord]) -> tuple[dict[str, float | None], dict[str, list[float] | None]]:
    """Values and intervals by key, both as they stand in metrics.json."""
    cluster_E = scenario_numbers(records)
    pairs = {figure.key: figure.estimate(records, cluster_E) for figure in figures}
    values = {key: value for key, (value, _) in pairs.items()}
    return values, {key: None if interval is None else list(interval) for key, (_, interval) in pairs.items()}


def proportion(key: str, hit: Callable[[EpisodeRecord], bool], of: Callable[[EpisodeRecord], bool] = lambda _: True) -> Figure:
    """The share of episodes with `of` in which `hit` holds as well."""
    return Figure(key=key, part=lambda record: of(record) and hit(record), whole=of, interval=proportion_interval)


def share(key: str, part: Count, whole: Count) -> Figure:
    """A share of steps, summed over episodes."""
    return Figure(key=key, part=part, whole=whole, interval=share_interval)


def mean(key: str, value: Callable[[EpisodeRecord], float | None]) -> Figure:
    """The mean over the episodes that have a value."""
    return Figure(key=key, part=lambda record: value(record) or 0.0, whole=lambda record: value(record) is not None, interval=mean_interval)


def critical_figure(critical: Set[str]) -> Figure:
    """Crashes among the critical hazards: the episodes, by identity, in which never_brake crashes."""
    return proportion("critical_hazard_collision_rate", lambda record: record.collided, lambda record: record.identity in critical)


def _closest_approach_s(record: EpisodeRecord) -> float | None:
    if record.min_gap_m is None:  # there never was a car ahead
        return None
    return min(TIME_TO_COLLISION_CAP_S, math.inf if record.min_time_to_collision_s is None else record.min_time_to_collision_s)


def _heard(record: EpisodeRecord) -> bool:
    return record.hazard_fired and record.hazard_heard_s is not None


HAZARD_COLLISION_RATE: Final = proportion("hazard_collision_rate", lambda record: record.collided, lambda record: record.hazard_fired)
FALSE_BRAKING_RATE: Final = share(
    "false_braking_rate", lambda record: record.false_braking_steps, lambda record: record.steps_outside_hazard
)
AVG_IMPACT_SPEED: Final = mean("avg_impact_speed_mps", lambda record: record.impact_speed_mps if record.collided else None)
AVG_REACTION: Final = mean("avg_reaction_s", lambda record: record.reaction_s)
AVG_PEAK_BRAKING: Final = mean("avg_peak_braking_mps2", lambda record: record.peak_braking_mps2)
AVG_REWARD: Final = mean("avg_reward", lambda record: record.episode_return)

FIGURES: Final = (
    HAZARD_COLLISION_RATE,
    proportion("collision_rate", lambda record: record.collided),
    proportion("truncation_rate", lambda record: not record.outcome.is_terminal),
    AVG_IMPACT_SPEED,
    proportion("hazard_heard_rate", _heard, lambda record: record.hazard_fired),
    proportion("reaction_rate", lambda record: record.reaction_s is not None, _heard),
    AVG_REACTION,
    FALSE_BRAKING_RATE,
    share("unsafe_share", lambda record: record.unsafe_steps, lambda record: record.steps),
    mean("avg_min_gap_m", lambda record: record.min_gap_m),
    mean("avg_min_time_to_collision_s", _closest_approach_s),
    AVG_PEAK_BRAKING,
    mean("avg_rms_jerk_mps3", lambda record: record.rms_jerk_mps3),
    mean("avg_progress_m", lambda record: record.progress_m),
    AVG_REWARD,
    mean("avg_length", lambda record: record.steps),
)
# What a breakdown shows of each group.
GROUP_FIGURES: Final = (HAZARD_COLLISION_RATE, AVG_IMPACT_SPEED, AVG_REACTION, FALSE_BRAKING_RATE, AVG_PEAK_BRAKING)
