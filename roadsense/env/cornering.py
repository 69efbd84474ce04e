"""How hard the ego corners: speed times the rate at which its heading turned over the last second.

SUMO's lanes are polylines, so the heading jumps at their corners; over a second the jumps add up to the turn that the road makes.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from roadsense.config import STEP_LENGTH_S

WINDOW_STEPS: Final = 10


class Cornering:
    """Remembers the headings of the last second."""

    def __init__(self, heading_rad: float) -> None:
        self._headings_rad: deque[float] = deque([heading_rad], maxlen=WINDOW_STEPS + 1)

    def lateral_accel_mps2(self, heading_rad: float, speed_mps: float) -> float:
        """Add the heading after a step; the mean lateral acceleration over the last second, never negative."""
        self._headings_rad.append(heading_rad)
        duration_s = (len(self._headings_rad) - 1) * STEP_LENGTH_S
        turned_rad = sum(_wrapped(after - before) for before, after in zip(self._headings_rad, list(self._headings_rad)[1:], strict=False))
        # Less than a second of history would take one corner of the polyline for a sharp bend.
        return speed_mps * abs(turned_rad) / max(duration_s, WINDOW_STEPS * STEP_LENGTH_S)


def _wrapped(angle_rad: float) -> float:
    return (angle_rad + math.pi) % (2 * math.pi) - math.pi
