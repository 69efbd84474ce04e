"""Order, unit and scale of every observation entry: one truth for environment, model, export and firmware.

A network input is `physical value / scale`. Angles are in radians, counter-clockwise; `forward` and `left` are in the ego's frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One entry: its name carries the unit, `scale` maps it to about [-1, 1]."""

    name: str
    scale: float
    meaning: str


EGO_FEATURES: Final = (
    Feature(name="speed_mps", scale=30.0, meaning="own speed, as the car's own sensor measures it"),
    Feature(name="accel_mps2", scale=8.0, meaning="own acceleration, as the car's own sensor measures it"),
    Feature(name="previous_action", scale=1.0, meaning="fraction of full braking commanded in the previous step"),
)

PEER_FEATURES: Final = (
    Feature(name="forward_m", scale=100.0, meaning="position of the peer ahead of the ego, along the ego's heading"),
    Feature(name="left_m", scale=100.0, meaning="position of the peer to the left of the ego"),
    Feature(name="relative_speed_mps", scale=10.0, meaning="peer's speed minus own speed"),
    Feature(name="relative_heading_rad", scale=np.pi, meaning="peer's heading minus own heading, in (-pi, pi]"),
    Feature(name="accel_mps2", scale=8.0, meaning="peer's acceleration, negative when it brakes"),
    Feature(name="age_s", scale=0.5, meaning="time since the peer measured what it sent"),
)

EGO_SIZE: Final = len(EGO_FEATURES)
PEER_SIZE: Final = len(PEER_FEATURES)
EGO_SCALES: Final[NDArray[np.float64]] = np.array([feature.scale for feature in EGO_FEATURES])
PEER_SCALES: Final[NDArray[np.float64]] = np.array([feature.scale for feature in PEER_FEATURES])

EGO_COLUMN: Final = {feature.name: column for column, feature in enumerate(EGO_FEATURES)}
PEER_COLUMN: Final = {feature.name: column for column, feature in enumerate(PEER_FEATURES)}

# An action is a fraction of full braking; at or below this one the driver has the car. A sixteenth is exact in float32, so environment,
# model and firmware agree on which side of it an action lies.
RELEASE_THRESHOLD: Final = 0.0625
