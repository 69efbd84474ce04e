"""Two policies on the identical episodes: what one saved and what it broke, instead of two rates side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from roadsense.env.outcome import Outcome
from roadsense.env.record import EpisodeRecord
from roadsense.errors import UsageError
from roadsense.evaluation.figures import AVG_PEAK_BRAKING, AVG_REWARD, FALSE_BRAKING_RATE, HAZARD_COLLISION_RATE, Figure, scenario_numbers
from roadsense.evaluation.intervals import (
    Interval,
    difference_interval,
    mcnemar_p,
    mean_interval,
    paired_proportion_interval,
    sum_by_scenario,
)
from roadsense.state import FloatArray

# Drawn before the first decision, hence equal for every policy if task, radio and scenario were the same.
_DRAWN: Final = ("scenario_id", "peer_count", "hazard_kind", "hazard_onset_s", "hazard_rank", "hazard_decel_mps2")
_OTHER_FAILURES: Final = (Outcome.EGO_REAR_ENDED, Outcome.LEFT_ROAD)

Records = Sequence[EpisodeRecord]


def paired(a: str, a_records: Records, b: str, b_records: Records) -> dict[str, Any]:
    """Policy `a` against policy `b`; differences are a minus b, so a negative difference of crash rates is in favour of `a`.

    Episodes that broke off with a fault under either policy are left out of both. The hazard collision rates compared are those of the
    episodes in which the hazard fired under both.

    Returns:
        `a`, `b`, `episodes`, `a_crashes`, `b_crashes`, `crashes_avoided` (b crashes, a does not), `avoided_but_failed` (those among them
        that a ended by leaving the road or being hit from behind), `crashes_caused` (a crashes, b does not), `mcnemar_p`, the four
        differences (that of the peak braking over the hazards in which both brake), and their `intervals`. A difference without a case
        is null.

    Raises:
        UsageError: the two did not drive identical episodes.
    """
    _check_identical(a, a_records, b, b_records)
    b_of = {record.identity: record for record in b_records}
    pairs = [(record, b_of[record.identity]) for record in a_records]
    valid = [pair for pair in pairs if Outcome.FAULT not in (pair[0].outcome, pair[1].outcome)]
    avoided = [pair[0] for pair in valid if pair[1].collided and not pair[0].collided]
    caused = sum(pair[0].collided and not pair[1].collided for pair in valid)
    differences = {
        HAZARD_COLLISION_RATE.key: _hazard_collision_difference(valid),
        FALSE_BRAKING_RATE.key: _difference(FALSE_BRAKING_RATE, valid),
        AVG_REWARD.key: _difference(AVG_REWARD, valid),
        AVG_PEAK_BRAKING.key: _peak_braking_difference(valid),
    }
    return {
        "a": a,
        "b": b,
        "episodes": len(valid),
        "a_crashes": sum(pair[0].collided for pair in valid),
        "b_crashes": sum(pair[1].collided for pair in valid),
        "crashes_avoided": len(avoided),
        "avoided_but_failed": sum(record.outcome in _OTHER_FAILURES for record in avoided),
        "crashes_caused": caused,
        "mcnemar_p": mcnemar_p(len(avoided), caused),
        **{f"{key}_difference": value for key, (value, _) in differences.items()},
        "intervals": {f"{key}_difference": list(interval) if interval else None for key, (_, interval) in differences.items()},
    }


Pairs = Sequence[tuple[EpisodeRecord, EpisodeRecord]]


def _hazard_collision_difference(pairs: Pairs) -> tuple[float | None, Interval | None]:
    fired = [pair for pair in pairs if pair[0].hazard_fired and pair[1].hazard_fired]
    if not fired:
        return None, None
    a_E, b_E = (_flags([pair[side].collided for pair in fired]) for side in (0, 1))
    interval = paired_proportion_interval(a_E, b_E, scenario_numbers([pair[0] for pair in fired]))
    return float(a_E.mean() - b_E.mean()), interval


def _peak_braking_difference(pairs: Pairs) -> tuple[float | None, Interval | None]:
    """How much harder `a` brakes at most than `b` does, over the hazards in which both brake: who does not is spoken of elsewhere."""
    braked = [
        (a, a.peak_braking_mps2 - b.peak_braking_mps2)
        for a, b in pairs
        if a.hazard_fired and b.hazard_fired and a.peak_braking_mps2 is not None and b.peak_braking_mps2 is not None
    ]
    if not braked:
        return None, None
    cluster_E = scenario_numbers([record for record, _ in braked])
    harder_E = np.array([difference for _, difference in braked])
    return float(harder_E.mean()), mean_interval(sum_by_scenario(harder_E, cluster_E), sum_by_scenario(np.ones(len(braked)), cluster_E))


def _difference(figure: Figure, pairs: Pairs) -> tuple[float | None, Interval | None]:
    if not pairs:
        return None, None
    cluster_E = scenario_numbers([pair[0] for pair in pairs])
    a, b = (figure.sums([pair[side] for pair in pairs], cluster_E) for side in (0, 1))
    if not a[1].sum() or not b[1].sum():
        return None, None
    return float(a[0].sum() / a[1].sum() - b[0].sum() / b[1].sum()), difference_interval(a, b)


def _flags(values: Sequence[bool]) -> FloatArray:
    return np.array(values, dtype=np.float64)


def _check_identical(a: str, a_records: Records, b: str, b_records: Records) -> None:
    mine, theirs = _by_identity(a, a_records), _by_identity(b, b_records)
    if mine.keys() != theirs.keys():
        example = min(mine.keys() ^ theirs.keys())
        raise UsageError(
            f"{a} and {b} did not drive identical episodes ({len(mine)} and {len(theirs)}, {len(mine.keys() & theirs.keys())} in common, "
            f"{example} only by {a if example in mine else b}); evaluate both on the same dataset, with the same rounds and eval_episodes"
        )
    for identity, record in mine.items():
        for name in _DRAWN:
            seen = getattr(record, name), getattr(theirs[identity], name)
            if seen[0] != seen[1]:
                raise UsageError(
                    f"{a} and {b} drove {identity} under different settings ({name} was {seen[0]} and {seen[1]}); "
                    "evaluate both with the same task and version"
                )


def _by_identity(policy: str, records: Records) -> dict[str, EpisodeRecord]:
    found: dict[str, EpisodeRecord] = {}
    for record in records:
        if record.identity in found:
            raise UsageError(f"{policy} drove {record.identity} twice; give a table in which each policy drove every episode once")
        found[record.identity] = record
    return found
