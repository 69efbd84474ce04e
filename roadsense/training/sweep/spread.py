"""Is the base configuration stable over seeds? If not, a sweep sorts its trials by luck."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from scipy.special import ndtri

# Chance alone must not be able to halve the objective.
_STABLE_SHARE: Final = 0.5
# never_brake and always_brake have 1, random about 0.65.
_LEARNED_LITTLE: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The objective of one configuration over seeds.

    Attributes:
        values: one per seed, shares.
        mean: of them.
        deviation: their standard deviation (n - 1); itself uncertain: with 3 seeds the truth may be half of it, or six times as much.
        luck: how far below the mean the best of the trials is to be expected if none of them were any better.
        trials: how many those are.
    """

    values: tuple[float, ...]
    mean: float
    deviation: float
    luck: float
    trials: int

    @classmethod
    def of(cls, values: Sequence[float], trials: int) -> Spread:
        """Of two values at least."""
        deviation = statistics.stdev(values)
        return cls(
            values=tuple(values), mean=statistics.fmean(values), deviation=deviation, luck=deviation * expected_best(trials), trials=trials
        )

    @property
    def stable(self) -> bool:
        """Whether something has been learned, and luck is small against the objective. (All seeds at 0 are stable.)"""
        return self.luck <= _STABLE_SHARE * self.mean < _STABLE_SHARE * _LEARNED_LITTLE

    def describe(self) -> str:
        """One line, in percent."""
        seeds = ", ".join(f"{100 * value:.1f}" for value in sorted(self.values))
        line = (
            f"the base configuration with {len(self.values)} seeds has objectives {seeds} (standard deviation {100 * self.deviation:.1f}); "
            f"the best of {self.trials} trials lies {100 * self.luck:.1f} below their mean by luck alone"
        )
        if self.stable:
            return line
        if self.mean >= _LEARNED_LITTLE:
            return f"{line}: NOTHING LEARNED yet (never_brake has 100), this sweep sorts noise; train longer"
        return f"{line}: NOT STABLE over seeds yet, this sweep sorts noise; train longer, or mend the base configuration first"


def expected_best(count: int) -> float:
    """How many standard deviations the best of `count` equal ones is expected from their mean.

    Source: G. Blom, "Statistical estimates and transformed beta-variables" (1958): the normal quantile of (n - 0.375) / (n + 0.25).
    """
    return 0.0 if count < 2 else float(ndtri((count - 0.375) / (count + 0.25)))
