"""The episodes worth watching: what went wrong first, then what nearly did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from roadsense.config import STEP_LENGTH_S
from roadsense.env.outcome import Outcome
from roadsense.env.record import EpisodeRecord
from roadsense.report.run.lists import EvaluationList

# Less braking for nothing than this is no episode to show.
_SHORTEST_FALSE_BRAKING_S: Final = 0.5
_OTHER_FAILURES: Final = (Outcome.LEFT_ROAD, Outcome.EGO_REAR_ENDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """One episode, why it is shown, and how the others fared in the identical one."""

    policy: str
    record: EpisodeRecord
    reason: str
    others: tuple[tuple[str, str], ...]  # (policy, what became of it)


def worst_episodes(listed: EvaluationList, policy: str, count: int) -> tuple[Worst, ...]:
    """At most `count` episodes of a policy, the worst first.

    Crashes by impact speed, then other failures, then the longest false braking, then the closest calls; one place is kept for the
    longest false braking whatever the number of crashes.
    """
    records = [record for record in listed.records[policy] if record.outcome is not Outcome.FAULT]
    crashes = sorted((record for record in records if record.collided), key=lambda record: -(record.impact_speed_mps or 0.0))
    failures = [record for record in records if record.outcome in _OTHER_FAILURES]
    longest = [record for record in _by_false_braking(records) if not record.outcome.is_terminal]
    close = sorted(
        (record for record in records if not record.outcome.is_terminal and record.min_time_to_collision_s is not None),
        key=lambda record: record.min_time_to_collision_s or 0.0,
    )
    kept = longest[:1] if count > 1 else []
    first = (crashes + failures)[: count - len(kept)]
    chosen = {record.identity: record for record in [*first, *kept, *close]}
    return tuple(_describe(listed, policy, record) for record in list(chosen.values())[:count])


def _by_false_braking(records: Sequence[EpisodeRecord]) -> list[EpisodeRecord]:
    found = [record for record in records if record.false_braking_steps * STEP_LENGTH_S >= _SHORTEST_FALSE_BRAKING_S]
    return sorted(found, key=lambda record: -record.false_braking_steps)


def _describe(listed: EvaluationList, policy: str, record: EpisodeRecord) -> Worst:
    others = []
    for name in listed.records:
        if name != policy and name in ("ttc_radio", "never_brake", *listed.judged):
            same = next(other for other in listed.records[name] if other.identity == record.identity)
            others.append((name, in_words(same)))
    return Worst(policy=policy, record=record, reason=in_words(record), others=tuple(others))


def in_words(record: EpisodeRecord) -> str:
    """What became of an episode, in a few words with the number that matters."""
    if record.outcome is Outcome.COLLISION:
        return f"hit the car ahead at {record.impact_speed_mps:.1f} m/s" if record.impact_speed_mps is not None else "hit the car ahead"
    if record.outcome is Outcome.LEFT_ROAD:
        return "left the road"
    if record.outcome is Outcome.EGO_REAR_ENDED:
        return "was hit from behind"
    if record.outcome is Outcome.FAULT:
        return "the simulator failed"
    if record.false_braking_steps * STEP_LENGTH_S >= _SHORTEST_FALSE_BRAKING_S:
        return f"braked {record.false_braking_steps * STEP_LENGTH_S:.1f} s for nothing"
    if record.min_gap_m is None:
        return "nobody ahead"
    return f"came no closer than {record.min_gap_m:.1f} m"
