"""Intervals over seeds and scenarios: no narrower for seeds that repeat each other, wide for seeds that differ, and true as often as they say."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from roadsense.env.outcome import Outcome
from roadsense.errors import UsageError
from roadsense.evaluation.figures import AVG_REWARD, FALSE_BRAKING_RATE, HAZARD_COLLISION_RATE, estimates
from roadsense.evaluation.pooled import pooled, pooled_difference

SCENARIOS = 40


def drive(good_episode, crashes, rewards=None, false_steps=None):
    """One seed's episodes, two rounds of each scenario: `crashes` (C, 2) booleans."""
    records = []
    for scenario, rounds in enumerate(crashes):
        for number, crashed in enumerate(rounds):
            change = {"outcome": Outcome.COLLISION if crashed else Outcome.SAFE}
            if rewards is not None:
                change["episode_return"] = float(rewards[scenario, number])
            if false_steps is not None:
                change["false_braking_steps"] = int(false_steps[scenario, number])
            name = f"s{scenario:03d}"
            records.append(replace(good_episode, identity=f"eval:0/{name}/{number}", scenario_id=name, **change))
    return records


def crashes(rng, rate):
    return rng.random((SCENARIOS, 2)) < rate


def width(interval):
    return interval[1] - interval[0]


def test_one_seed_is_an_evaluation(good_episode):
    rng = np.random.default_rng(1)
    records = drive(good_episode, crashes(rng, 0.3), rng.normal(size=(SCENARIOS, 2)), rng.integers(0, 5, (SCENARIOS, 2)))
    values, intervals = estimates((HAZARD_COLLISION_RATE, AVG_REWARD, FALSE_BRAKING_RATE), records)
    for figure in (HAZARD_COLLISION_RATE, AVG_REWARD, FALSE_BRAKING_RATE):
        found = pooled(figure, {1: records})
        assert (found.value, list(found.interval)) == (values[figure.key], intervals[figure.key])


def test_a_seed_that_repeats_another_adds_nothing(good_episode):
    rng = np.random.default_rng(2)
    records = drive(good_episode, crashes(rng, 0.3), rng.normal(size=(SCENARIOS, 2)))
    one, three = pooled(AVG_REWARD, {1: records}), pooled(AVG_REWARD, {1: records, 2: records, 3: records})
    assert three.value == pytest.approx(one.value)
    assert three.interval == pytest.approx(one.interval)
    assert width(pooled(HAZARD_COLLISION_RATE, {1: records, 2: records}).interval) > 0.95 * width(
        pooled(HAZARD_COLLISION_RATE, {1: records}).interval
    )


def test_where_no_seed_crashes_the_bound_is_that_of_one(good_episode):
    never = drive(good_episode, np.zeros((SCENARIOS, 2), dtype=bool))
    assert pooled(HAZARD_COLLISION_RATE, {1: never, 2: never, 3: never}).interval == pytest.approx(
        pooled(HAZARD_COLLISION_RATE, {1: never}).interval
    )


def test_seeds_that_differ_make_it_wide(good_episode):
    rng = np.random.default_rng(3)
    alike = {seed: drive(good_episode, crashes(rng, 0.3)) for seed in range(3)}
    apart = {seed: drive(good_episode, crashes(rng, rate)) for seed, rate in enumerate((0.05, 0.3, 0.55))}
    assert width(pooled(HAZARD_COLLISION_RATE, apart).interval) > 3 * width(pooled(HAZARD_COLLISION_RATE, alike).interval)
    assert pooled(HAZARD_COLLISION_RATE, apart).by_seed[0] < 0.2


def test_a_difference_is_paired_by_scenario(good_episode):
    rng = np.random.default_rng(4)
    hard = rng.random((SCENARIOS, 1)) < 0.4
    same = {seed: drive(good_episode, np.repeat(hard, 2, axis=1)) for seed in range(2)}
    value, interval = pooled_difference(HAZARD_COLLISION_RATE, same, same)
    alone = pooled(HAZARD_COLLISION_RATE, same).interval
    assert value == 0
    assert interval[0] <= 0 <= interval[1]
    assert width(interval) < 0.5 * width(alone)  # without the pairing it would be 1.4 times as wide
    easy = {seed: drive(good_episode, np.zeros((SCENARIOS, 2), dtype=bool)) for seed in range(2)}
    assert pooled_difference(HAZARD_COLLISION_RATE, same, easy)[1][0] > 0
    assert pooled_difference(HAZARD_COLLISION_RATE, easy, same)[1][1] < 0


def test_other_episodes_and_faults(good_episode):
    records = drive(good_episode, np.zeros((SCENARIOS, 2), dtype=bool))
    with pytest.raises(UsageError, match="not the 80 of the first"):
        pooled(AVG_REWARD, {1: records, 2: records[1:]})
    broken = [replace(records[0], outcome=Outcome.FAULT, episode_return=-1e6), *records[1:]]
    assert pooled(AVG_REWARD, {1: broken, 2: records}).value == pytest.approx(4.0)
    assert pooled(HAZARD_COLLISION_RATE, {1: [replace(record, hazard_fired=False) for record in records]}).value is None


@pytest.mark.parametrize(("seed_spread", "least"), [(0.0, 0.93), (0.6, 0.88)])
def test_the_truth_is_inside_about_as_often_as_they_say(good_episode, seed_spread, least):
    """Three seeds, crash probabilities that vary with scenario, seed and both; the truth is the mean over new seeds and scenarios."""
    rng = np.random.default_rng(5)
    draws = rng.normal(size=(200_000, 2)) * (1.0, seed_spread)
    truth = float(expit(-1.5 + draws.sum(axis=1)).mean())
    inside = 0
    for _ in range(200):
        scenario, seed = rng.normal(size=(SCENARIOS, 1, 1)), seed_spread * rng.normal(size=(1, 1, 3))
        crashed = rng.random((SCENARIOS, 2, 3)) < expit(-1.5 + scenario + seed)
        low, high = pooled(HAZARD_COLLISION_RATE, {k: drive(good_episode, crashed[:, :, k]) for k in range(3)}).interval
        inside += low <= truth <= high
    assert inside / 200 >= least


def test_the_interval_of_a_mean_is_that_of_two_way_analysis_of_variance(good_episode):
    """Mean squares of a table (scenarios, seeds) with one value per cell, the textbook way."""
    rng = np.random.default_rng(6)
    table = rng.normal(size=(SCENARIOS, 1)) + rng.normal(size=(1, 3)) + 0.5 * rng.normal(size=(SCENARIOS, 3))
    seeds = {k: drive(good_episode, np.zeros((SCENARIOS, 1), dtype=bool), table[:, k : k + 1]) for k in range(3)}
    mean, rows, columns = table.mean(), table.mean(axis=1), table.mean(axis=0)
    of_scenario = 3 * ((rows - mean) ** 2).sum() / (SCENARIOS - 1)
    of_seed = SCENARIOS * ((columns - mean) ** 2).sum() / 2
    rest = ((table - rows[:, None] - columns + mean) ** 2).sum() / (2 * (SCENARIOS - 1))
    total = of_scenario + of_seed - rest
    degrees = total**2 / (of_scenario**2 / (SCENARIOS - 1) + of_seed**2 / 2 + rest**2 / (2 * (SCENARIOS - 1)))
    half = stats.t.ppf(0.975, degrees) * np.sqrt(total / (3 * SCENARIOS))
    assert pooled(AVG_REWARD, seeds).interval == pytest.approx((mean - half, mean + half))
