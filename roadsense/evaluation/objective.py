"""One number for "drives well", for where one is needed: what a sweep minimises. Never a return, which is as good as its reward weights.

    objective = critical_hazard_collision_rate + weight * false_braking_rate

With a weight of 1 the two policies that learn nothing score the same: `never_brake` crashes in every critical hazard (1 + 0), and
`always_brake` brakes falsely in every step (0 + 1). So no half of it can be had for the price of the other (docs/decisions/0016-sweep.md).
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import asdict, dataclass
from typing import Any

from roadsense.env.outcome import Outcome
from roadsense.env.record import EpisodeRecord
from roadsense.evaluation.figures import FALSE_BRAKING_RATE, critical_figure, scenario_numbers
from roadsense.evaluation.intervals import Interval, weighted_sum_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """The objective of some episodes, its interval and its two parts; shares, not percent."""

    objective: float
    objective_interval: Interval | None
    critical_hazard_collision_rate: float
    false_braking_rate: float
    critical_hazards: int
    episodes: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def objective(records: Sequence[EpisodeRecord], critical: Set[str], weight: float) -> Objective | None:
    """The objective of one policy's episodes; faulty ones do not count.

    Args:
        records: its episodes.
        critical: identities of the critical hazards, see `roadsense.evaluation.metrics.critical_identities`.
        weight: of the false braking rate.

    Returns:
        None where there is no critical hazard, or no step outside a hazard.
    """
    valid = [record for record in records if record.outcome is not Outcome.FAULT]
    if not valid:
        return None
    cluster_E = scenario_numbers(valid)
    crashes, braking = critical_figure(critical), FALSE_BRAKING_RATE
    (rate, interval), (share, share_interval) = crashes.estimate(valid, cluster_E), braking.estimate(valid, cluster_E)
    if rate is None or share is None:
        return None
    both = None
    if interval is not None and share_interval is not None:
        sums = crashes.sums(valid, cluster_E), braking.sums(valid, cluster_E)
        both = weighted_sum_interval(*sums, weight, (interval, share_interval))
    return Objective(
        objective=rate + weight * share,
        objective_interval=both,
        critical_hazard_collision_rate=rate,
        false_braking_rate=share,
        critical_hazards=sum(record.identity in critical for record in valid),
        episodes=len(valid),
    )
