"""How hard the ego corners: speed times the rate at which its heading turned over the last second.

SUMO's lanes are polylines, so the heading jumps at their corners; over a second the jumps add up to the turn that the road makes.
"""

from __future__ import annotations

from typing import Final

from roadsense.compiled import compiled
from roadsense.config import STEP_LENGTH_S
from roadsense.state import FloatArray

WINDOW_STEPS: Final = 10


@compiled
def lateral_accel_mps2(turns_rad: FloatArray, speed_mps: float) -> float:
    """Mean lateral acceleration over the last second, never negative; `turns_rad` is by how much the heading turned in each step so far.

    Less than a second of history counts as one that began straight on: else one corner of the polyline would be a sharp bend.
    """
    turned_rad = 0.0
    for step in range(max(0, len(turns_rad) - WINDOW_STEPS), len(turns_rad)):
        turned_rad += turns_rad[step]
    return speed_mps * abs(turned_rad) / (WINDOW_STEPS * STEP_LENGTH_S)
