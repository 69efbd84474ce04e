"""From what is heard to what the network sees: the ego's frame, relative and normalised, and back for rules on physical units."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roadsense.features import PEER_SCALES, PEER_SIZE
from roadsense.radio.loops import relative_to
from roadsense.radio.message import HeardPeers, OwnMeasurement
from roadsense.state import FloatArray


def observe_peers(own: OwnMeasurement, heard: HeardPeers) -> NDArray[np.float32]:
    """Heard peers relative to the ego's own measurement: array (n, 6) in the order of `PEER_FEATURES`, divided by their scales.

    A peer's position is that of its message, `age_s` ago; it is not extrapolated, the age stands beside it.
    """
    features = np.empty((len(heard), PEER_SIZE), dtype=np.float32)
    relative_to(
        heard.x_m,
        heard.y_m,
        heard.speed_mps,
        heard.accel_mps2,
        heard.heading_rad,
        heard.age_s,
        (own.x_m, own.y_m, own.speed_mps, own.accel_mps2, own.heading_rad),
        math.cos(own.heading_rad),
        math.sin(own.heading_rad),
        PEER_SCALES,
        features,
    )
    return features


def peers_from_observation(values: NDArray[np.float32]) -> FloatArray:
    """Normalised peers (n, 6) back in physical units, float64 (n, 6), same columns."""
    return values.astype(np.float64) * PEER_SCALES
