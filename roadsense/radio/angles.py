"""Angles in (-pi, pi]."""

from __future__ import annotations

import numpy as np

from roadsense.state import FloatArray

_TURN_RAD = 2 * np.pi
_LEAST_RAD = float(np.nextafter(-np.pi, 0.0))


def wrap_angle(angle_rad: FloatArray) -> FloatArray:
    """The same directions in (-pi, pi], any shape; angles already there come back bit for bit."""
    outside = (angle_rad <= -np.pi) | (angle_rad > np.pi)
    if not outside.any():
        return angle_rad
    turned_rad = angle_rad - _TURN_RAD * np.ceil((angle_rad - np.pi) / _TURN_RAD)
    # Rounding may leave a turned angle one bit outside the half-open interval.
    return np.where(outside, np.clip(turned_rad, _LEAST_RAD, np.pi), angle_rad)
