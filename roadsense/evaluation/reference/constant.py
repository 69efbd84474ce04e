"""The two ends of the scale: never braking and always braking.

`never_brake` shows how dangerous the episodes are without RoadSense; a hazard in which it crashes is a critical one. `always_brake` shows
what safety alone is worth: no collision, no progress, false braking throughout. Neither has a constant.
"""

from __future__ import annotations

import numpy as np

from roadsense.env.observation import Observation


class NeverBrake:
    """Leaves the car to its driver."""

    def begin(self, _rng: np.random.Generator, /) -> None:
        """Nothing to prepare."""

    def __call__(self, _observation: Observation, /) -> float:
        """Always 0."""
        return 0.0


class AlwaysBrake:
    """Brakes fully from the first step."""

    def begin(self, _rng: np.random.Generator, /) -> None:
        """Nothing to prepare."""

    def __call__(self, _observation: Observation, /) -> float:
        """Always 1."""
        return 1.0
