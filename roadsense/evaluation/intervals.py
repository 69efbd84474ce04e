"""95 % confidence intervals for ratios of sums over episodes, and the tests that go with them.

Every figure of an evaluation is a ratio of two sums over episodes: crashes over hazards, false braking steps over steps, returns over
episodes. Steps of one episode are not independent, and neither are several rounds of one scenario (the same road, cars and gaps), so the
unit of all variances is the *scenario*. Shapes: E episodes, C scenarios. Functions take the sums of each scenario, `part_C` and `whole_C`;
those without a case (whole 0) do not count. docs/evaluation.md says which figure has which interval, docs/decisions/0004-statistics.md why.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, ndtri, stdtrit

from roadsense.state import FloatArray

IntArray = NDArray[np.intp]
Interval = tuple[float, float]

_UPPER_TAIL: Final = 0.975
_Z: Final = float(ndtri(_UPPER_TAIL))


def sum_by_scenario(values_E: FloatArray, cluster_E: IntArray) -> FloatArray:
    """Sums over the episodes of each scenario, shape (C,); `cluster_E` numbers the scenario of each episode from 0."""
    return np.bincount(cluster_E, weights=values_E).astype(np.float64)


def wilson(hits: float, cases: float) -> Interval:
    """The score interval of a proportion; stays in [0, 1] and is honest at 0 and at all.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    `cases` may be an effective number and need not be whole.
    """
    rate = hits / cases
    centre = (rate + _Z**2 / (2 * cases)) / (1 + _Z**2 / cases)
    half = _Z / (1 + _Z**2 / cases) * math.sqrt(rate * (1 - rate) / cases + _Z**2 / (4 * cases**2))
    # At 0 and at 1 the formula gives exactly that bound, up to rounding.
    return (0.0 if hits <= 0 else max(0.0, centre - half), 1.0 if hits >= cases else min(1.0, centre + half))


def proportion_interval(part_C: FloatArray, whole_C: FloatArray) -> Interval:
    """For a share of episodes (each counts 0 or 1): Wilson with the number of cases divided by the design effect.

    With one episode per scenario this is Wilson's interval itself.
    Source: C. Franco et al., "Comparative study of confidence intervals for proportions in complex sample surveys", JSSAM 7 (2019).
    """
    cases = float(whole_C.sum())
    effective = cases / design_effect(part_C, whole_C)
    return wilson(float(part_C.sum()) / cases * effective, effective)


def design_effect(part_C: FloatArray, whole_C: FloatArray) -> float:
    """How much larger the variance of a proportion is than with independent episodes: 1 or more.

    It is not estimated below 1 (with few scenarios that is chance), nor where all episodes agree or belong to one scenario: then it is 1.
    Source: L. Kish, "Survey Sampling" (1965).
    """
    cases, hits = float(whole_C.sum()), float(part_C.sum())
    rate = hits / cases
    spread = hits * (1 - rate)
    clusters = int(np.count_nonzero(whole_C))
    if clusters < 2 or spread <= 0:
        return 1.0
    by_scenario = clusters / (clusters - 1) * float(np.square(part_C - rate * whole_C).sum())
    by_episode = cases / (cases - 1) * spread
    return max(1.0, by_scenario / by_episode)


def mean_interval(part_C: FloatArray, whole_C: FloatArray) -> Interval | None:
    """For a mean over episodes: linearised cluster-robust variance and Student's t; None with fewer than two scenarios.

    Source: W. G. Cochran, "Sampling Techniques" (1977), ch. 6 (ratio estimator); t with C - 1 degrees of freedom as in survey software.
    """
    half = _half_width(_influence(part_C, whole_C), int(np.count_nonzero(whole_C)))
    if half is None:
        return None
    mean = float(part_C.sum() / whole_C.sum())
    return mean - half, mean + half


def share_interval(part_C: FloatArray, whole_C: FloatArray) -> Interval | None:
    """For a share of steps: as `mean_interval`, but on the logit scale, which keeps it within [0, 1] and fits a skewed share better.

    Where no step counts (or every one) the variance says nothing; then each scenario is taken as one all-or-nothing case (Wilson), which
    is the widest that a share can be. None with fewer than two scenarios.
    Source: E. L. Korn and B. I. Graubard, "Analysis of Health Surveys" (1999): the logit interval.
    """
    clusters = int(np.count_nonzero(whole_C))
    half = _half_width(_influence(part_C, whole_C), clusters)
    if half is None:
        return None
    share = float(part_C.sum() / whole_C.sum())
    if share <= 0 or share >= 1:
        return wilson(share * clusters, clusters)
    logit, half_logit = math.log(share / (1 - share)), half / (share * (1 - share))
    return _logistic(logit - half_logit), _logistic(logit + half_logit)


def difference_interval(a: tuple[FloatArray, FloatArray], b: tuple[FloatArray, FloatArray]) -> Interval | None:
    """For the ratio of `a` minus that of `b`, each (part_C, whole_C) over the same scenarios: paired, otherwise as `mean_interval`."""
    clusters = int(np.count_nonzero(np.maximum(a[1], b[1])))
    half = _half_width(_influence(*a) - _influence(*b), clusters)
    if half is None:
        return None
    difference = float(a[0].sum() / a[1].sum() - b[0].sum() / b[1].sum())
    return difference - half, difference + half


def paired_proportion_interval(a_E: FloatArray, b_E: FloatArray, cluster_E: IntArray) -> Interval:
    """For the share of hits of `a` minus that of `b` in the same episodes: from the two Wilson intervals and their correlation.

    Args:
        a_E: the hits of `a`, 0 or 1 per episode.
        b_E: those of `b` in the same episodes, in the same order.
        cluster_E: the scenario of each episode, as a number from 0.

    Unlike the plain difference of means it has a width when neither policy crashed.
    Source: R. G. Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired data",
    Statistics in Medicine 17 (1998), method 8; G. Y. Zou and A. Donner, Statistics in Medicine 27 (2008).
    """
    whole_C = sum_by_scenario(np.ones_like(a_E), cluster_E)
    a_low, a_high = proportion_interval(sum_by_scenario(a_E, cluster_E), whole_C)
    b_low, b_high = proportion_interval(sum_by_scenario(b_E, cluster_E), whole_C)
    a, b = float(a_E.mean()), float(b_E.mean())
    spread = math.sqrt(a * (1 - a) * b * (1 - b))
    correlation = (float((a_E * b_E).mean()) - a * b) / spread if spread > 0 else 0.0
    return a - b - recovered(a - a_low, b_high - b, correlation), a - b + recovered(a_high - a, b - b_low, correlation)


def weighted_sum_interval(
    a: tuple[FloatArray, FloatArray], b: tuple[FloatArray, FloatArray], weight: float, parts: tuple[Interval, Interval]
) -> Interval:
    """For the ratio of `a` plus `weight` times that of `b`, each (part_C, whole_C) over the same scenarios: from the intervals of the two.

    Unlike the linearised variance of the sum it has a width when there was no crash at all.
    Source: G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures", Statistics in Medicine 27 (2008); the
    correlation of the two is that of what the scenarios add to them.
    """
    a_ratio, b_ratio = (float(part_C.sum() / whole_C.sum()) for part_C, whole_C in (a, b))
    (a_low, a_high), (b_low, b_high) = parts
    influences = _influence(*a), _influence(*b)
    spread = math.sqrt(float(np.square(influences[0]).sum()) * float(np.square(influences[1]).sum()))
    correlation = float((influences[0] * influences[1]).sum()) / spread if spread > 0 else 0.0
    total = a_ratio + weight * b_ratio
    # `recovered` is made for differences, where a positive correlation narrows.
    low = total - recovered(a_ratio - a_low, weight * (b_ratio - b_low), -correlation)
    return low, total + recovered(a_high - a_ratio, weight * (b_high - b_ratio), -correlation)


def mcnemar_p(only_a: int, only_b: int) -> float:
    """Two-sided exact p that the two policies crash equally often, from the episodes in which exactly one of them did.

    Source: Q. McNemar, Psychometrika 12 (1947), with the binomial distribution instead of chi-squared. 1 where they never differ.
    """
    count = only_a + only_b
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), count, 0.5))) if count else 1.0


def _influence(part_C: FloatArray, whole_C: FloatArray) -> FloatArray:
    """What each scenario adds to the ratio's deviation, to first order, shape (C,)."""
    whole = whole_C.sum()
    influence: FloatArray = (part_C - part_C.sum() / whole * whole_C) / whole
    return influence


def _half_width(influence_C: FloatArray, clusters: int) -> float | None:
    """Half the width of the t interval; None where the variance cannot be estimated."""
    if clusters < 2:
        return None
    variance = clusters / (clusters - 1) * float(np.square(influence_C).sum())
    return float(stdtrit(clusters - 1, _UPPER_TAIL)) * math.sqrt(variance)


def recovered(a: float, b: float, correlation: float) -> float:
    """One side of the interval of a difference from the sides of its parts; rounding must not make the square negative."""
    return math.sqrt(max(0.0, a**2 - 2 * correlation * a * b + b**2))


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0
