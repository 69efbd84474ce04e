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
    """Remembers by how much the heading turned in the steps of the last second."""

    def __init__(self, heading_rad: float) -> None:
        self._heading_rad = heading_rad
        self._turns_rad: deque[float] = deque(maxlen=WINDOW_STEPS)

    def lateral_accel_mps2(self, heading_rad: float, speed_mps: float) -> float:
        """Add the heading after a step; the mean lateral acceleration over the last second, never negative."""
        self._turns_rad.append(_wrapped(heading_rad - self._heading_rad))
        self._heading_rad = heading_rad
        # Less than a second of history would take one corner of the polyline for a sharp bend.
        return speed_mps * abs(sum(self._turns_rad)) / (WINDOW_STEPS * STEP_LENGTH_S)


def _wrapped(angle_rad: float) -> float:
    return (angle_rad + math.pi) % (2 * math.pi) - math.pi
