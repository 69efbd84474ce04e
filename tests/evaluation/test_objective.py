"""The objective of a sweep: neither doing nothing nor braking always is worth anything, and its interval holds the truth."""

import dataclasses

import numpy as np
import pytest

from roadsense.env.outcome import Outcome
from roadsense.evaluation.intervals import difference_interval, weighted_sum_interval, wilson
from roadsense.evaluation.objective import objective


def episodes(good_episode, crashes, braking_steps):
    return [
        dataclasses.replace(
            good_episode,
            identity=f"e{i}",
            scenario_id=f"s{i}",
            outcome=Outcome.COLLISION if crash else Outcome.SAFE,
            false_braking_steps=steps,
        )
        for i, (crash, steps) in enumerate(zip(crashes, braking_steps, strict=True))
    ]


ALL = frozenset(f"e{i}" for i in range(1000))


def test_doing_nothing_and_braking_always_are_equally_bad(good_episode):
    never, always = episodes(good_episode, [1] * 10, [0] * 10), episodes(good_episode, [0] * 10, [200] * 10)
    assert objective(never, ALL, 1.0).objective == objective(always, ALL, 1.0).objective == 1.0


def test_the_formula_with_a_weight(good_episode):
    found = objective(episodes(good_episode, [1, 0, 0, 0], [20, 0, 0, 20]), ALL, 3.0)
    assert found.objective == pytest.approx(0.25 + 3.0 * 40 / 800)
    assert (found.critical_hazard_collision_rate, found.false_braking_rate) == (0.25, 0.05)
    assert found.objective_interval[0] < found.objective < found.objective_interval[1]


def test_only_critical_hazards_count_and_without_one_there_is_no_objective(good_episode):
    driven = episodes(good_episode, [1, 0], [0, 0])
    assert objective(driven, {"e1"}, 1.0).objective == 0.0
    assert objective(driven, frozenset(), 1.0) is None
    assert objective([], ALL, 1.0) is None
    assert objective([dataclasses.replace(driven[0], outcome=Outcome.FAULT)], ALL, 1.0) is None


def test_no_crash_at_all_still_has_a_width(good_episode):
    low, high = objective(episodes(good_episode, [0] * 30, [0] * 30), ALL, 1.0).objective_interval
    assert low == 0.0
    assert high > wilson(0, 30)[1]


def test_the_interval_holds_the_truth(good_episode):
    """Crashes and false braking of a scenario that are correlated either way; 95 % is asked for."""
    rng = np.random.default_rng(3)
    for correlation in (-0.8, 0.0, 0.8):
        held = 0
        for _ in range(400):
            normal = rng.standard_normal((150, 2))
            normal[:, 1] = correlation * normal[:, 0] + np.sqrt(1 - correlation**2) * normal[:, 1]
            crash_C = (normal[:, 0] > 1.2816).astype(float)  # 10 %
            braking_C = np.round(20 * np.exp(0.5 * normal[:, 1] - 0.125))  # 10 % of 200 steps
            ones = np.ones(150)
            interval = difference_interval((braking_C, 200 * ones), (0 * ones, ones))
            low, high = weighted_sum_interval(
                (crash_C, ones), (braking_C, 200 * ones), 1.0, (wilson(crash_C.sum(), 150), interval)
            )  # fmt: skip
            held += low <= 0.2 <= high
        assert 0.92 <= held / 400 <= 0.985, correlation


@pytest.mark.parametrize("correlation", [-0.9, 0.9])
def test_what_the_two_rates_have_in_common_widens_or_narrows_both_sides(correlation):
    """With many scenarios both sides are 1.96 standard errors of the sum itself."""
    rng = np.random.default_rng(4)
    normal = rng.standard_normal((4000, 2))
    normal[:, 1] = correlation * normal[:, 0] + np.sqrt(1 - correlation**2) * normal[:, 1]
    crash_C, ones = (normal[:, 0] > 0).astype(float), np.ones(4000)
    braking_C = np.clip(100 + 60 * normal[:, 1], 0, 200)
    share = difference_interval((braking_C, 200 * ones), (0 * ones, ones))
    low, high = weighted_sum_interval((crash_C, ones), (braking_C, 200 * ones), 1.0, (wilson(crash_C.sum(), 4000), share))
    total_C = crash_C + braking_C / 200
    error = 1.96 * total_C.std() / np.sqrt(4000)
    assert (total_C.mean() - low, high - total_C.mean()) == pytest.approx((error, error), rel=0.03)
