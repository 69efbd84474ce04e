"""Intervals agree with scipy where it has them, are no narrower for repetition, and hold the truth about as often as they say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, logit

from roadsense.evaluation.intervals import (
    design_effect,
    difference_interval,
    mcnemar_p,
    mean_interval,
    paired_proportion_interval,
    proportion_interval,
    share_interval,
    sum_by_scenario,
    wilson,
)

counts = st.integers(1, 400).flatmap(lambda cases: st.tuples(st.integers(0, cases), st.just(cases)))
ratios = st.lists(st.tuples(st.integers(0, 30), st.integers(30, 400)), min_size=2, max_size=30)


def ones(count):
    return np.ones(count)


@given(counts)
def test_wilson_is_scipys(case):
    hits, cases = case
    expected = stats.binomtest(hits, cases).proportion_ci(0.95, method="wilson")
    assert wilson(hits, cases) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(counts)
def test_a_proportion_over_scenarios_of_one_episode_is_wilson(case):
    hits, cases = case
    part_C = (np.arange(cases) < hits).astype(float)
    assert proportion_interval(part_C, ones(cases)) == pytest.approx(wilson(hits, cases))


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_the_two_sided_binomial_test(only_a, only_b):
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert mcnemar_p(only_a, only_b) == pytest.approx(expected, rel=1e-9)


def test_a_mean_over_scenarios_of_one_episode_is_students():
    values = np.array([1.0, 4.0, 2.0, 8.0, 5.0])
    expected = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
    assert mean_interval(values, ones(5)) == pytest.approx(expected)


def test_a_difference_is_students_paired_interval():
    a, b = np.array([1.0, 4.0, 2.0, 8.0, 5.0]), np.array([0.5, 4.5, 1.0, 5.0, 5.0])
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert difference_interval((a, ones(5)), (b, ones(5))) == pytest.approx((expected.low, expected.high))


def test_a_share_over_scenarios_of_one_length_is_students_on_the_logit_scale():
    values = np.array([0.2, 0.9, 0.7, 0.8, 0.4])
    mean, half = values.mean(), stats.t.ppf(0.975, 4) * stats.sem(values)
    expected = expit(logit(mean) + np.array([-half, half]) / (mean * (1 - mean)))
    assert share_interval(100 * values, 100 * ones(5)) == pytest.approx(tuple(expected))


@given(ratios, st.integers(2, 6))
def test_repeated_rounds_do_not_narrow_an_interval(ratio, rounds):
    part_C, whole_C = np.array(ratio, dtype=float).T
    for interval in (mean_interval, share_interval):
        assert interval(rounds * part_C, rounds * whole_C) == pytest.approx(interval(part_C, whole_C), rel=1e-6, abs=1e-12)
    assert difference_interval((rounds * part_C, rounds * whole_C), (part_C, whole_C)) == pytest.approx((0.0, 0.0), abs=1e-9)


def test_repeated_rounds_hardly_narrow_a_proportion():
    hits = np.array([1.0] * 8 + [0.0] * 32)
    once, often = proportion_interval(hits, ones(40)), proportion_interval(10 * hits, 10 * ones(40))
    assert often == pytest.approx(once, abs=0.01)
    assert design_effect(10 * hits, 10 * ones(40)) == pytest.approx(10, rel=0.05)
    naive = wilson(80, 400)
    assert naive[1] - naive[0] < 0.4 * (often[1] - often[0])


def test_mixed_scenarios_have_no_design_effect():
    assert design_effect(2 * ones(40), 10 * ones(40)) == 1.0
    assert design_effect(np.zeros(40), 10 * ones(40)) == 1.0
    assert design_effect(np.array([3.0]), np.array([10.0])) == 1.0


@given(ratios)
def test_a_share_stays_a_share(ratio):
    part_C, whole_C = np.array(ratio, dtype=float).T
    low, high = share_interval(part_C, whole_C)
    assert 0 <= low <= part_C.sum() / whole_C.sum() + 1e-12 and part_C.sum() / whole_C.sum() <= high + 1e-12 <= 1 + 1e-12


def test_a_share_of_nothing_is_no_certainty():
    assert share_interval(np.zeros(50), 200 * ones(50)) == wilson(0, 50)
    assert share_interval(200 * ones(50), 200 * ones(50)) == wilson(50, 50)


def test_one_scenario_has_no_variance():
    one = np.array([3.0]), np.array([10.0])
    assert mean_interval(*one) is None and share_interval(*one) is None and difference_interval(one, one) is None
    # Scenarios without a case are no cases.
    assert mean_interval(np.array([3.0, 0.0]), np.array([10.0, 0.0])) is None


def test_a_paired_difference_is_mirrored_and_never_without_width():
    a, b = np.array([1, 1, 1, 0, 0, 0, 0, 0, 1, 0.0]), np.array([1, 0, 0, 0, 0, 0, 0, 0, 1, 1.0])
    low, high = paired_proportion_interval(a, b, np.arange(10))
    assert low < 0.1 < high
    assert paired_proportion_interval(b, a, np.arange(10)) == pytest.approx((-high, -low))
    assert paired_proportion_interval(np.zeros(100), np.zeros(100), np.arange(100)) == pytest.approx(
        (-wilson(0, 100)[1], wilson(0, 100)[1])
    )


def test_what_both_have_in_common_narrows_a_paired_difference():
    rng = np.random.default_rng(4)
    a = (rng.random(200) < 0.5).astype(float)
    b = np.where(rng.random(200) < 0.05, 1 - a, a)
    together = paired_proportion_interval(a, b, np.arange(200))
    apart = paired_proportion_interval(a, rng.permutation(b), np.arange(200))
    assert together[1] - together[0] < 0.5 * (apart[1] - apart[0])


SCENARIOS, ROUNDS, TRIALS = 60, 5, 400


def coverage(seed, trial):
    """How often `trial(rng) -> (interval, naive interval, truth)` holds the truth, for both intervals."""
    rng = np.random.default_rng(seed)
    held = np.zeros(2)
    for _ in range(TRIALS):
        interval, naive, truth = trial(rng)
        held += (interval[0] <= truth <= interval[1], naive[0] <= truth <= naive[1])
    return held / TRIALS


def episodes_of(propensity_C):
    cluster_E = np.repeat(np.arange(SCENARIOS), ROUNDS)
    return np.repeat(propensity_C, ROUNDS), cluster_E


def crashes(rng):
    """Some scenarios are dangerous and some are not: 20 % in the mean, with a design effect of about 2."""
    propensity_E, cluster_E = episodes_of(rng.beta(0.6, 2.4, SCENARIOS))
    hits_E = (rng.random(propensity_E.size) < propensity_E).astype(float)
    whole_C = sum_by_scenario(np.ones_like(hits_E), cluster_E)
    return proportion_interval(sum_by_scenario(hits_E, cluster_E), whole_C), wilson(hits_E.sum(), hits_E.size), 0.2


def returns(rng):
    """Half of the variance belongs to the scenario."""
    level_E, cluster_E = episodes_of(rng.normal(3, 1, SCENARIOS))
    value_E = level_E + rng.normal(0, 1, level_E.size)
    whole_C = sum_by_scenario(np.ones_like(value_E), cluster_E)
    half = 1.96 * value_E.std() / math.sqrt(value_E.size)
    return mean_interval(sum_by_scenario(value_E, cluster_E), whole_C), (value_E.mean() - half, value_E.mean() + half), 3.0


def false_braking(rng):
    """Bursts of some ten steps in a tenth of the episodes, of 200 steps each: 0.6 %; naive takes steps for independent."""
    burst_E = (rng.random(SCENARIOS * ROUNDS) < 0.1) * rng.geometric(1 / 12, SCENARIOS * ROUNDS)
    _, cluster_E = episodes_of(np.zeros(SCENARIOS))
    whole_C = sum_by_scenario(np.full(burst_E.size, 200.0), cluster_E)
    return share_interval(sum_by_scenario(burst_E, cluster_E), whole_C), wilson(burst_E.sum(), 200 * burst_E.size), 0.006


@pytest.mark.parametrize(("trial", "least"), [(crashes, 0.91), (returns, 0.93), (false_braking, 0.91)])
def test_the_truth_lies_within_as_often_as_claimed(trial, least):
    held, held_by_naive = coverage(11, trial)
    assert least <= held <= 0.985
    assert held_by_naive < 0.88
