"""What cars tell each other: their own measurement of where they are and how they move.

The measurements of all cars in one step are the columns of one float64 matrix with the rows named here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from roadsense.state import FloatArray

X_M, Y_M, SPEED_MPS, ACCEL_MPS2, HEADING_RAD = range(5)
MEASUREMENT_ROWS: Final = 5


class OwnMeasurement(NamedTuple):
    """What the ego's own sensors say of it in one step: noisy, and the same numbers that it broadcasts in that step."""

    x_m: float
    y_m: float
    speed_mps: float
    accel_mps2: float
    heading_rad: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardPeers:
    """The neighbour table in one step: the newest measurement of every source that is not stale, in no meaningful order.

    All arrays are float64 (n,), row i from `source_ids[i]`. `age_s` is the time since the source measured it, whether it came directly or
    over relays, at least 0 and at most `observation.stale_after_ms`. Headings are in (-pi, pi], counter-clockwise from east.
    """

    source_ids: tuple[str, ...]
    x_m: FloatArray
    y_m: FloatArray
    speed_mps: FloatArray
    accel_mps2: FloatArray
    heading_rad: FloatArray
    age_s: FloatArray

    def __len__(self) -> int:
        return len(self.source_ids)
