"""All that is concluded from the episodes of several policies. It needs their records alone: fresh from the road, or from a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from roadsense.env.record import EpisodeRecord
from roadsense.evaluation.metrics import critical_identities, summarise
from roadsense.evaluation.paired import paired

BASELINE: Final = "never_brake"  # its crashes say which hazards are critical


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What an evaluation came to.

    Attributes:
        figures: policy -> figures, as in `roadsense.evaluation.metrics.summarise`; the first policy is the one that is judged.
        paired: the first policy against every other, as in `roadsense.evaluation.paired.paired`.
    """

    figures: dict[str, dict[str, Any]]
    paired: list[dict[str, Any]]

    @property
    def judged(self) -> str:
        """The first policy: the one that is judged."""
        return next(iter(self.figures))

    @property
    def knows_critical_hazards(self) -> bool:
        """Whether never_brake drove the same episodes."""
        return BASELINE in self.figures


def judge(records: Mapping[str, Sequence[EpisodeRecord]]) -> Judgement:
    """Figures of each policy, and the first against every other.

    Raises:
        UsageError: the policies did not drive identical episodes.
    """
    critical = critical_identities(records[BASELINE]) if BASELINE in records else None
    first, *others = records
    against = [paired(first, records[first], other, records[other]) for other in others]
    return Judgement(figures={name: summarise(mine, critical) for name, mine in records.items()}, paired=against)
