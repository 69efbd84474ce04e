"""How long the slowest of many workers takes, from what their fragments are made of.

A worker drives episodes of its shard until its fragment is full, so its time is a sum over episodes: about normal, around the mean cost of
its shard, and the narrower the more episodes a fragment holds.

Shape suffixes: N workers, X points of integration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from roadsense.errors import ConfigError

FloatArray = NDArray[np.float64]

_POINTS: Final = 4001
_REACH: Final = 8.0  # deviations beyond which a normal distribution holds nothing that counts


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCosts:
    """What a step costs by scenario, relative to the mean over all of them.

    Attributes:
        by_scenario: one entry per scenario in the dataset's order; their mean is 1.
        episode_deviation: standard deviation from episode to episode of one scenario, relative to the mean cost.
        episode_steps: mean length of an episode.
    """

    by_scenario: tuple[float, ...]
    episode_deviation: float
    episode_steps: float

    def __post_init__(self) -> None:
        """Refuse costs that are none."""
        if not self.by_scenario or min(self.by_scenario) <= 0 or self.episode_deviation < 0 or self.episode_steps <= 0:
            raise ConfigError(f"costs of {len(self.by_scenario)} scenarios make no sense; measure again: roadsense scaling --measure")


def slowest_over_mean(costs: StepCosts, workers: int, fragment_steps: float) -> float:
    """Expected time of the slowest of N workers over the time of a mean worker, at least 1; every worker drives `fragment_steps` steps."""
    means_N, deviations_N = fragment_moments(costs, workers, fragment_steps)
    return max(1.0, expected_maximum(means_N, deviations_N) / float(means_N.mean()))


def fragment_moments(costs: StepCosts, workers: int, fragment_steps: float) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation (N,) of each worker's cost per step; shards are those of `roadsense.scenario.shard`."""
    every = np.asarray(costs.by_scenario)
    shards = [every[worker::workers] if workers <= len(every) else every[[worker % len(every)]] for worker in range(workers)]
    episodes = max(1.0, fragment_steps / costs.episode_steps)
    means_N = np.array([shard.mean() for shard in shards])
    variances_N = np.array([shard.var() for shard in shards]) + costs.episode_deviation**2
    return means_N, np.sqrt(variances_N / episodes)


def expected_maximum(means_N: FloatArray | Sequence[float], deviations_N: FloatArray | Sequence[float]) -> float:
    """Expected maximum of N independent normal variables: the integral of one minus the product of their distribution functions."""
    means, deviations = np.asarray(means_N, dtype=np.float64), np.asarray(deviations_N, dtype=np.float64)
    if not deviations.any():
        return float(means.max())
    low, high = (means - _REACH * deviations).min(), (means + _REACH * deviations).max()
    points_X = np.linspace(low, high, _POINTS)
    below_X = np.ones(_POINTS)
    for mean, deviation in zip(means, deviations, strict=True):
        below_X *= ndtr((points_X - mean) / deviation) if deviation > 0 else points_X >= mean
    return float(high - np.trapezoid(below_X, points_X))
