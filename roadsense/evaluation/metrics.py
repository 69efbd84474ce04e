"""From episodes to the `evaluation` section of metrics.json: figures with intervals, counts, and the same by groups of episodes.

A figure without a single case is null, never 0, and so is its interval.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Any, Final

from roadsense.env.outcome import Outcome
from roadsense.env.record import EpisodeRecord
from roadsense.evaluation.figures import FIGURES, GROUP_FIGURES, Figure, critical_figure, estimates

# Name of a breakdown -> what its groups are keyed by. Hazards count as drawn, so the groups hold the same episodes for every policy;
# hazard_kind and hazard_rank are null in the group of episodes for which no hazard was drawn.
BREAKDOWNS: Final[dict[str, tuple[str, ...]]] = {
    "base": ("base",),
    "hazard_kind": ("hazard_kind",),
    "peer_count_and_hazard_rank": ("peer_count", "hazard_rank"),
}


def summarise(records: Iterable[EpisodeRecord], critical: Set[str] | None = None) -> dict[str, Any]:
    """The figures of one policy.

    Args:
        records: its episodes. Faulty ones (the simulator failed) are counted and enter no other figure.
        critical: identities of the critical hazards, see `critical_identities`; None where never_brake was not driven.
    """
    every = list(records)
    valid = [record for record in every if record.outcome is not Outcome.FAULT]
    values, intervals = estimates([*FIGURES, critical_figure(critical or frozenset())], valid)
    breakdowns = {name: breakdown(valid, keys, critical) for name, keys in BREAKDOWNS.items()}
    return values | _counts(every, valid, critical) | _extremes(valid) | {"intervals": intervals, "breakdowns": breakdowns}


def critical_identities(never_brake: Iterable[EpisodeRecord]) -> frozenset[str]:
    """Episodes in which the car crashes into a hazard unless somebody brakes: the only ones in which a policy can save anything."""
    return frozenset(record.identity for record in never_brake if record.hazard_collision)


def breakdown(records: Sequence[EpisodeRecord], keys: Sequence[str], critical: Set[str] | None = None) -> list[dict[str, Any]]:
    """One entry per combination of these fields that occurs, sorted: the fields, counts, `GROUP_FIGURES` and their intervals."""
    groups: dict[tuple[Any, ...], list[EpisodeRecord]] = {}
    for record in records:
        groups.setdefault(tuple(getattr(record, key) for key in keys), []).append(record)
    in_order = sorted(groups, key=lambda group: [(value is None, value) for value in group])
    return [dict(zip(keys, group, strict=True)) | _group_content(groups[group], critical) for group in in_order]


def _group_content(records: Sequence[EpisodeRecord], critical: Set[str] | None) -> dict[str, Any]:
    figures: list[Figure] = [*GROUP_FIGURES, critical_figure(critical or frozenset())]
    values, intervals = estimates(figures, records)
    return {"episodes": len(records)} | _hazard_counts(records, critical) | values | {"intervals": intervals}


def _counts(every: Sequence[EpisodeRecord], valid: Sequence[EpisodeRecord], critical: Set[str] | None) -> dict[str, Any]:
    outcomes = Counter(record.outcome for record in every)
    return {
        "eval_episodes": len(valid),
        "scenarios_evaluated": len({record.scenario_id for record in valid}),
        "collisions": outcomes[Outcome.COLLISION],
        "truncations": outcomes[Outcome.SAFE] + outcomes[Outcome.ROUTE_ENDED],
        **_hazard_counts(valid, critical),
        "outcomes": {outcome.value: outcomes[outcome] for outcome in Outcome},
        "faults": outcomes[Outcome.FAULT],
    }


def _hazard_counts(records: Sequence[EpisodeRecord], critical: Set[str] | None) -> dict[str, int | None]:
    concerned = None if critical is None else [record for record in records if record.identity in critical]
    return {
        "hazard_episodes": sum(record.hazard_fired for record in records),
        "hazard_collisions": sum(record.hazard_collision for record in records),
        "critical_hazards": None if concerned is None else len(concerned),
        "critical_hazard_collisions": None if concerned is None else sum(record.collided for record in concerned),
    }


def _extremes(records: Sequence[EpisodeRecord]) -> dict[str, Any]:
    """Spread, worst cases and the reward's parts: no intervals, because an extreme says how long one looked."""
    returns = [record.episode_return for record in records]
    return {
        "std_reward": statistics.pstdev(returns) if returns else None,
        "min_reward": min(returns, default=None),
        "max_reward": max(returns, default=None),
        "min_gap_m": _least(records, lambda record: record.min_gap_m),
        "min_time_to_collision_s": _least(records, lambda record: record.min_time_to_collision_s),
        "avg_reward_terms": _average_terms(records),
    }


def _least(records: Sequence[EpisodeRecord], value: Callable[[EpisodeRecord], float | None]) -> float | None:
    return min((found for record in records if (found := value(record)) is not None), default=None)


def _average_terms(records: Sequence[EpisodeRecord]) -> dict[str, float]:
    """Mean over all episodes of each term that occurs; an episode that lacks it adds 0."""
    names = dict.fromkeys(name for record in records for name in record.reward_terms)
    return {name: sum(record.reward_terms.get(name, 0.0) for record in records) / len(records) for name in names}
