"""What a run has cost so far, as its launcher has told it; nothing on a machine that costs nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

_STARTED: Final = "ROADSENSE_LAUNCH_STARTED_AT"
_EXPECTED: Final = "ROADSENSE_USD_PER_HOUR"
_WORST: Final = "ROADSENSE_USD_PER_HOUR_AT_MOST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Money since the launch, in USD: with the spot prices quoted at launch and all machines, and with on-demand prices."""

    hours: float
    cost_usd: float
    cost_usd_at_most: float

    def as_dict(self) -> dict[str, Any]:
        """For metrics.json; cents and below are kept, as short runs cost less than one."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def cost_environment(started_at: datetime, usd_per_hour: float, usd_per_hour_at_most: float) -> dict[str, str]:
    """The environment variables by which a launcher tells a run what it costs."""
    return {_STARTED: started_at.isoformat(), _EXPECTED: repr(usd_per_hour), _WORST: repr(usd_per_hour_at_most)}


def cost_so_far(environment: Mapping[str, str] | None = None, now: datetime | None = None) -> Cost | None:
    """The cost of the launch that this process belongs to; None without one, or where the variables are no figures."""
    told = os.environ if environment is None else environment
    try:
        started = datetime.fromisoformat(told[_STARTED])
        hours = max(0.0, ((now or datetime.now(UTC)) - started).total_seconds() / 3600)
        return Cost(hours=hours, cost_usd=hours * float(told[_EXPECTED]), cost_usd_at_most=hours * float(told[_WORST]))
    except (KeyError, ValueError, TypeError):
        return None
