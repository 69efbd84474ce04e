"""One figure of several policies of one recipe (its training seeds) on the identical episodes, its interval over new seeds too.

The seeds drive the same scenarios, so their episodes are no independent cases: a rate over all of them varies with the scenarios that were
drawn, with the seeds that were drawn, and with how the two happen to meet. That is the design of readers and cases in diagnostic studies.
With Z(c, k) the first-order share of scenario c and seed k in the deviation of the ratio, and Z(c), Z(k) its sums,

    V_scenario = C / (C - 1) * sum Z(c)^2        V_seed = K / (K - 1) * sum Z(k)^2
    V_rest     = C K / ((C - 1) (K - 1)) * sum (Z(c, k) - Z(c) / K - Z(k) / C)^2
    V          = V_scenario + max(0, V_seed - V_rest)

and Student's t with Satterthwaite's degrees of freedom; where the seeds differ no more than chance makes them, V is that of the scenarios,
and where they differ much the degrees of freedom go towards K - 1, so that three seeds give the wide interval that three seeds deserve.
Sources: S. L. Hillis et al., "A comparison of the Dorfman-Berbaum-Metz and Obuchowski-Rockette methods for receiver operating
characteristic (ROC) data", Statistics in Medicine 24 (2005); F. E. Satterthwaite, Biometrics Bulletin 2 (1946); A. C. Cameron et al.,
"Robust inference with multiway clustering", JBES 29 (2011). Why: docs/decisions/0013-ablation.md.

Shapes: C scenarios, K seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import ndtri, stdtrit

from roadsense.env.outcome import Outcome
from roadsense.env.record import EpisodeRecord
from roadsense.errors import UsageError
from roadsense.evaluation.figures import Figure
from roadsense.evaluation.intervals import Interval, proportion_interval, recovered, share_interval, wilson
from roadsense.state import FloatArray

_UPPER_TAIL: Final = 0.975

Seeds = Mapping[int, Sequence[EpisodeRecord]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """A figure over several seeds.

    Attributes:
        value: the ratio over all episodes of all seeds; None without a case.
        interval: 95 %, over scenarios and seeds; None without a case, or where the variance cannot be estimated.
        by_seed: the ratio of each seed.
    """

    value: float | None
    interval: Interval | None
    by_seed: dict[int, float | None]


def pooled(figure: Figure, seeds: Seeds) -> Pooled:
    """The figure over all seeds; with a single one it is that of an evaluation, `Figure.estimate`.

    Raises:
        UsageError: the seeds did not drive identical episodes.
    """
    part_CK, whole_CK = _sums(figure, seeds)
    by_seed = {
        seed: float(part / whole) if whole else None
        for seed, part, whole in zip(seeds, part_CK.sum(axis=0), whole_CK.sum(axis=0), strict=True)
    }
    if not whole_CK.sum():
        return Pooled(value=None, interval=None, by_seed=by_seed)
    value = float(part_CK.sum() / whole_CK.sum())
    return Pooled(value=value, interval=_interval(figure, part_CK, whole_CK), by_seed=by_seed)


def pooled_difference(figure: Figure, a: Seeds, b: Seeds) -> tuple[float | None, Interval | None]:
    """The pooled figure of `a` minus that of `b`: paired by scenario, while the seeds of the two are independent whatever their numbers.

    From the two intervals and the correlation that the common scenarios give (G. Y. Zou and A. Donner, Statistics in Medicine 27 (2008)).

    Raises:
        UsageError: not all drove identical episodes.
    """
    _check_identical({**{f"a{seed}": records for seed, records in a.items()}, **{f"b{seed}": records for seed, records in b.items()}})
    (a_value, a_interval), (b_value, b_interval) = ((one.value, one.interval) for one in (pooled(figure, a), pooled(figure, b)))
    if a_value is None or b_value is None:
        return None, None
    if a_interval is None or b_interval is None:
        return a_value - b_value, None
    correlation = _correlation(_sums(figure, a), _sums(figure, b))
    low = recovered(a_value - a_interval[0], b_interval[1] - b_value, correlation)
    high = recovered(a_interval[1] - a_value, b_value - b_interval[0], correlation)
    return a_value - b_value, (a_value - b_value - low, a_value - b_value + high)


@dataclass(frozen=True, slots=True)
class _Variance:
    """Variance of a pooled ratio, the part of it that the scenarios make, and the degrees of freedom."""

    total: float
    scenario: float
    degrees: float


def _variance(part_CK: FloatArray, whole_CK: FloatArray) -> _Variance | None:
    """None with fewer than two scenarios that have a case."""
    influence_CK = _influence(part_CK, whole_CK)[whole_CK.sum(axis=1) > 0]
    scenarios, seeds = influence_CK.shape
    if scenarios < 2:
        return None
    of_scenario, of_seed = influence_CK.sum(axis=1), influence_CK.sum(axis=0)
    scenario = scenarios / (scenarios - 1) * float(np.square(of_scenario).sum())
    if seeds < 2:
        return _Variance(scenario, scenario, scenarios - 1)
    seed = seeds / (seeds - 1) * float(np.square(of_seed).sum())
    rest_CK = influence_CK - of_scenario[:, None] / seeds - of_seed / scenarios
    rest_degrees = (scenarios - 1) * (seeds - 1)
    rest = scenarios * seeds / rest_degrees * float(np.square(rest_CK).sum())
    if seed <= rest:
        return _Variance(scenario, scenario, scenarios - 1)
    total = scenario + seed - rest
    degrees = total**2 / (scenario**2 / (scenarios - 1) + seed**2 / (seeds - 1) + rest**2 / rest_degrees)
    return _Variance(total, scenario, max(1.0, min(degrees, scenarios - 1)))


def _interval(figure: Figure, part_CK: FloatArray, whole_CK: FloatArray) -> Interval | None:
    if part_CK.shape[1] == 1:
        return figure.interval(part_CK[:, 0], whole_CK[:, 0])
    variance = _variance(part_CK, whole_CK)
    value, cases = float(part_CK.sum() / whole_CK.sum()), float(whole_CK.sum())
    if figure.interval is proportion_interval:
        return _proportion(value, cases, part_CK.shape[1], variance)
    if variance is None:
        return None
    half = float(stdtrit(variance.degrees, _UPPER_TAIL)) * math.sqrt(variance.total)
    if figure.interval is not share_interval:
        return value - half, value + half
    if value <= 0 or value >= 1:
        clusters = int(np.count_nonzero(whole_CK.sum(axis=1)))
        return wilson(value * clusters, clusters)
    logit, half_logit = math.log(value / (1 - value)), half / (value * (1 - value))
    return _logistic(logit - half_logit), _logistic(logit + half_logit)


def _proportion(rate: float, cases: float, seeds: int, variance: _Variance | None) -> Interval:
    """Wilson's interval with the effective number of cases; where all agree, those of one seed count, since the others repeat them."""
    if variance is None or variance.total <= 0:
        effective = cases / seeds
    else:
        wider = float(stdtrit(variance.degrees, _UPPER_TAIL)) / float(ndtri(_UPPER_TAIL))
        effective = min(rate * (1 - rate) / variance.total, cases) / wider**2
    return wilson(rate * effective, effective)


def _influence(part_CK: FloatArray, whole_CK: FloatArray) -> FloatArray:
    whole = whole_CK.sum()
    influence: FloatArray = (part_CK - part_CK.sum() / whole * whole_CK) / whole
    return influence


def _correlation(a: tuple[FloatArray, FloatArray], b: tuple[FloatArray, FloatArray]) -> float:
    """Of the two pooled ratios, through the scenarios that both drove."""
    variances = _variance(*a), _variance(*b)
    if variances[0] is None or variances[1] is None or min(variances[0].total, variances[1].total) <= 0:
        return 0.0
    a_C, b_C = _influence(*a).sum(axis=1), _influence(*b).sum(axis=1)
    covariance = len(a_C) / (len(a_C) - 1) * float((a_C * b_C).sum())
    return max(-1.0, min(1.0, covariance / math.sqrt(variances[0].total * variances[1].total)))


def _sums(figure: Figure, seeds: Seeds) -> tuple[FloatArray, FloatArray]:
    """Numerators and denominators (C, K); episodes that broke off with a fault are no case. The scenarios stand in sorted order."""
    _check_identical(seeds)
    names = sorted({record.scenario_id for records in seeds.values() for record in records})
    if len(names) == 1:
        # As in an evaluation of a single scenario: its episodes stand for themselves.
        number = {record.identity: row for row, record in enumerate(next(iter(seeds.values())))}
        keys = {seed: [number[record.identity] for record in records] for seed, records in seeds.items()}
    else:
        number = {name: row for row, name in enumerate(names)}
        keys = {seed: [number[record.scenario_id] for record in records] for seed, records in seeds.items()}
    sums = []
    for count in (figure.part, figure.whole):
        columns = []
        for seed, records in seeds.items():
            values = [0.0 if record.outcome is Outcome.FAULT else float(count(record)) for record in records]
            columns.append(np.bincount(keys[seed], weights=values, minlength=len(number)))
        sums.append(np.stack(columns, axis=1).astype(np.float64))
    return sums[0], sums[1]


def _check_identical(seeds: Mapping[int, Sequence[EpisodeRecord]] | Mapping[str, Sequence[EpisodeRecord]]) -> None:
    lists = {name: sorted(record.identity for record in records) for name, records in seeds.items()}
    first = next(iter(lists.values()))
    for name, identities in lists.items():
        if identities != first:
            raise UsageError(
                f"seed {name} drove {len(identities)} episodes that are not the {len(first)} of the first; evaluate all on the same list"
            )


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0
