"""From what is heard to what the network sees: the ego's frame, relative and normalised, and back for rules on physical units."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roadsense.features import PEER_COLUMN, PEER_SCALES, PEER_SIZE
from roadsense.radio.angles import wrap_angle
from roadsense.radio.message import HeardPeers, OwnMeasurement
from roadsense.state import FloatArray


def observe_peers(own: OwnMeasurement, heard: HeardPeers) -> NDArray[np.float32]:
    """Heard peers relative to the ego's own measurement: array (n, 6) in the order of `PEER_FEATURES`, divided by their scales.

    A peer's position is that of its message, `age_s` ago; it is not extrapolated, the age stands beside it.
    """
    east_m, north_m = heard.x_m - own.x_m, heard.y_m - own.y_m
    cos, sin = math.cos(own.heading_rad), math.sin(own.heading_rad)
    physical = np.empty((len(heard), PEER_SIZE))
    physical[:, PEER_COLUMN["forward_m"]] = east_m * cos + north_m * sin
    physical[:, PEER_COLUMN["left_m"]] = north_m * cos - east_m * sin
    physical[:, PEER_COLUMN["relative_speed_mps"]] = heard.speed_mps - own.speed_mps
    physical[:, PEER_COLUMN["relative_heading_rad"]] = wrap_angle(heard.heading_rad - own.heading_rad)
    physical[:, PEER_COLUMN["accel_mps2"]] = heard.accel_mps2
    physical[:, PEER_COLUMN["age_s"]] = heard.age_s
    return (physical / PEER_SCALES).astype(np.float32)


def peers_from_observation(values: NDArray[np.float32]) -> FloatArray:
    """Normalised peers (n, 6) back in physical units, float64 (n, 6), same columns."""
    return values.astype(np.float64) * PEER_SCALES
