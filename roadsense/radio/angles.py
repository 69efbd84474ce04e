"""Angles in (-pi, pi]."""

from __future__ import annotations

import numpy as np

from roadsense.compiled import compiled

_TURN_RAD = 2 * np.pi
_LEAST_RAD = float(np.nextafter(-np.pi, 0.0))


@compiled
def wrapped(angle_rad: float) -> float:
    """The same direction in (-pi, pi]; an angle already there comes back bit for bit. For compiled code."""
    if -np.pi < angle_rad <= np.pi:
        return angle_rad
    turned_rad: float = angle_rad - _TURN_RAD * np.ceil((angle_rad - np.pi) / _TURN_RAD)
    # Rounding may leave a turned angle one bit outside the half-open interval.
    return min(max(turned_rad, _LEAST_RAD), np.pi)
