"""Who drives which car in the next step: the agent, the distracted driver, the hazard, or SUMO's car-following.

Every command is a speed that SUMO reaches exactly within the step, so the deceleration commanded is the deceleration achieved.
"""

from __future__ import annotations

import numpy as np

from roadsense.config import STEP_LENGTH_S
from roadsense.env.script import EpisodeScript, Hazard
from roadsense.env.settings import TaskSettings
from roadsense.features import RELEASE_THRESHOLD
from roadsense.state import SpeedCommand

# Holding noise decays towards the held speed with this factor per step (a time constant of one second).
_HOLD_NOISE_MEMORY = 0.9


class EgoDriver:
    """Turns the agent's action and the driver's attention into a speed for the ego."""

    def __init__(self, settings: TaskSettings, ego_id: str, script: EpisodeScript, rng: np.random.Generator) -> None:
        self._settings = settings
        self._ego_id = ego_id
        self._distraction = script.distraction
        self._rng = rng
        self._held_speed_mps: float | None = None
        self._noise_mps = 0.0

    def is_distracted(self, time_s: float) -> bool:
        """Whether the driver holds the speed at this time after the first decision."""
        window = self._distraction
        return window is not None and window.start_s <= time_s < window.end_s

    def command(self, action: float, speed_mps: float, time_s: float) -> SpeedCommand:
        """The ego's command: braking above the release threshold, else holding while distracted, else the attentive driver."""
        if action > RELEASE_THRESHOLD:
            self._held_speed_mps = None
            braked_mps = speed_mps - self._settings.max_braking_mps2 * action * STEP_LENGTH_S
            return SpeedCommand(vehicle_id=self._ego_id, speed_mps=max(0.0, braked_mps))
        if self.is_distracted(time_s):
            return SpeedCommand(vehicle_id=self._ego_id, speed_mps=self._hold(speed_mps))
        self._held_speed_mps = None
        return SpeedCommand(vehicle_id=self._ego_id, speed_mps=None)

    def _hold(self, speed_mps: float) -> float:
        if self._held_speed_mps is None:
            self._held_speed_mps, self._noise_mps = speed_mps, 0.0
        kick_mps = self._settings.distraction.speed_noise_mps * self._rng.standard_normal()
        self._noise_mps = _HOLD_NOISE_MEMORY * self._noise_mps + kick_mps
        return max(0.0, self._held_speed_mps + self._noise_mps) if self._held_speed_mps > 0 else 0.0


class HazardDriver:
    """Brakes the hazard car from its onset to its end speed, keeps it there, and hands it back when the hazard resolves."""

    def __init__(self, hazard: Hazard) -> None:
        self.hazard = hazard
        self._end_speed_mps: float | None = None
        self._resolved = False

    def command(self, speed_mps: float, time_s: float) -> SpeedCommand | None:
        """The hazard car's command, or None while SUMO drives it."""
        if time_s < self.hazard.onset_s or self._resolved:
            return None
        if time_s >= self.hazard.resolves_s:
            self._resolved = True
            return SpeedCommand(vehicle_id=self.hazard.vehicle_id, speed_mps=None)
        if self._end_speed_mps is None:
            self._end_speed_mps = self.hazard.end_speed_fraction * speed_mps
        braked_mps = speed_mps - self.hazard.decel_mps2 * STEP_LENGTH_S
        return SpeedCommand(vehicle_id=self.hazard.vehicle_id, speed_mps=max(self._end_speed_mps, braked_mps))
