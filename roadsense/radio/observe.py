"""From what is heard to what the network sees: the ego's frame, relative and normalised, and back for rules on physical units."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roadsense.compiled import compiled
from roadsense.features import PEER_COLUMN, PEER_SCALES, PEER_SIZE
from roadsense.radio.angles import wrapped
from roadsense.radio.message import HeardPeers, OwnMeasurement
from roadsense.state import FloatArray

_FORWARD, _LEFT, _SPEED = PEER_COLUMN["forward_m"], PEER_COLUMN["left_m"], PEER_COLUMN["relative_speed_mps"]
_HEADING, _ACCEL, _AGE = PEER_COLUMN["relative_heading_rad"], PEER_COLUMN["accel_mps2"], PEER_COLUMN["age_s"]


def observe_peers(own: OwnMeasurement, heard: HeardPeers) -> NDArray[np.float32]:
    """Heard peers relative to the ego's own measurement: array (n, 6) in the order of `PEER_FEATURES`, divided by their scales.

    A peer's position is that of its message, `age_s` ago; it is not extrapolated, the age stands beside it.
    """
    return _relative(
        heard.x_m,
        heard.y_m,
        heard.speed_mps,
        heard.accel_mps2,
        heard.heading_rad,
        heard.age_s,
        (own.x_m, own.y_m, own.speed_mps, own.heading_rad),
        (math.cos(own.heading_rad), math.sin(own.heading_rad)),
        PEER_SCALES,
    )


@compiled
def _relative(
    x_m: FloatArray,
    y_m: FloatArray,
    speed_mps: FloatArray,
    accel_mps2: FloatArray,
    heading_rad: FloatArray,
    age_s: FloatArray,
    own: tuple[float, float, float, float],
    direction: tuple[float, float],
    scales: FloatArray,
) -> NDArray[np.float32]:
    own_x_m, own_y_m, own_speed_mps, own_heading_rad = own
    cos, sin = direction
    values = np.empty((len(x_m), PEER_SIZE), dtype=np.float32)
    for row in range(len(x_m)):
        east_m, north_m = x_m[row] - own_x_m, y_m[row] - own_y_m
        values[row, _FORWARD] = (east_m * cos + north_m * sin) / scales[_FORWARD]
        values[row, _LEFT] = (north_m * cos - east_m * sin) / scales[_LEFT]
        values[row, _SPEED] = (speed_mps[row] - own_speed_mps) / scales[_SPEED]
        values[row, _HEADING] = wrapped(heading_rad[row] - own_heading_rad) / scales[_HEADING]
        values[row, _ACCEL] = accel_mps2[row] / scales[_ACCEL]
        values[row, _AGE] = age_s[row] / scales[_AGE]
    return values


def peers_from_observation(values: NDArray[np.float32]) -> FloatArray:
    """Normalised peers (n, 6) back in physical units, float64 (n, 6), same columns."""
    return values.astype(np.float64) * PEER_SCALES
