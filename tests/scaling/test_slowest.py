"""The slowest of many workers: against closed forms, and against drawing."""

import math

import numpy as np
import pytest

from roadsense.errors import ConfigError
from roadsense.scaling.slowest import StepCosts, expected_maximum, fragment_moments, slowest_over_mean
from roadsense.scenario.shard import shard

UNEVEN = StepCosts(by_scenario=(0.7, 0.8, 0.9, 1.0, 1.1, 1.5), episode_deviation=0.2, episode_steps=170.0)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, 0.0),
        (2, 1 / math.sqrt(math.pi)),
        (3, 1.5 / math.sqrt(math.pi)),
        (5, 1.16296),
        (100, 2.50759),
    ],  # David and Nagaraja, Order Statistics
)
def test_the_largest_of_equal_normals(count, expected):
    assert expected_maximum(np.full(count, 10.0), np.full(count, 2.0)) == pytest.approx(10.0 + 2.0 * expected, abs=1e-4)


def test_unequal_workers_as_drawn():
    means, deviations = np.array([1.0, 1.1, 0.8, 1.05]), np.array([0.1, 0.0, 0.3, 0.05])
    drawn = np.random.default_rng(0).normal(means, deviations, size=(400_000, 4)).max(axis=1).mean()
    assert expected_maximum(means, deviations) == pytest.approx(drawn, abs=5e-4)


def test_without_spread_the_dearest_is_the_slowest():
    assert expected_maximum([1.0, 3.0, 2.0], [0.0, 0.0, 0.0]) == 3.0


@pytest.mark.parametrize("workers", [1, 2, 4, 5, 6, 7, 40])
def test_shards_are_those_of_the_training(workers):
    means, deviations = fragment_moments(UNEVEN, workers, 2048)
    episodes = 2048 / 170
    for worker in range(workers):
        own = shard(UNEVEN.by_scenario, worker, workers)
        assert means[worker] == pytest.approx(np.mean(own))
        assert deviations[worker] == pytest.approx(math.sqrt((np.var(own) + 0.04) / episodes))


def test_waiting_grows_with_workers_and_shrinks_with_the_fragment():
    assert slowest_over_mean(UNEVEN, 1, 2048) == pytest.approx(1.0)
    by_workers = [slowest_over_mean(UNEVEN, workers, 2048) for workers in (1, 2, 4, 8, 64, 256)]
    assert by_workers == sorted(by_workers) and by_workers[-1] > 1.5
    by_length = [slowest_over_mean(UNEVEN, 60, steps) for steps in (256, 1024, 8192, 10**7)]
    assert by_length == sorted(by_length, reverse=True)
    assert by_length[-1] == pytest.approx(1.5, abs=0.01), "with long fragments the dearest scenario alone is left"


@pytest.mark.parametrize("wrong", [{"by_scenario": ()}, {"by_scenario": (1.0, 0.0)}, {"episode_deviation": -0.1}, {"episode_steps": 0.0}])
def test_costs_that_are_none_are_refused(wrong):
    with pytest.raises(ConfigError, match="measure again"):
        StepCosts(**{"by_scenario": (1.0,), "episode_deviation": 0.1, "episode_steps": 170.0} | wrong)
