"""Who drives the ego in the next step: the agent, the distracted driver, or SUMO's attentive one.

Every command is a speed that SUMO reaches exactly within the step, so the deceleration commanded is the deceleration achieved.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Final

import numpy as np

from roadsense.config import STEP_LENGTH_S
from roadsense.env.script import EpisodeScript
from roadsense.env.settings import TaskSettings
from roadsense.features import RELEASE_THRESHOLD
from roadsense.state import SpeedCommand

_REMEMBERED_STEPS: Final = 20
# Larger deviations are manoeuvres (a gear change, the begin of braking), not the small noise of driving on.
_LARGEST_NOISE_MPS: Final = 0.1
_INDEPENDENT: Final = math.sqrt(2 / 3)


class SpeedNoise:
    """The small noise in this driver's speed, so that a held speed looks like the speeds before.

    A noise value is how far a speed lies from the mean of its two neighbours, times sqrt(2/3): for independent noise around a trend, that
    has the standard deviation of the noise, and a trend cancels. While the driver is distracted, noise is drawn from the last such values,
    so neither the ego's acceleration nor its speed tells by its flatness that nobody is driving.
    """

    def __init__(self, speeds_mps: Iterable[float]) -> None:
        self._speeds_mps: deque[float] = deque(maxlen=3)
        self._values_mps: deque[float] = deque(maxlen=_REMEMBERED_STEPS)
        for speed_mps in speeds_mps:
            self.watch(speed_mps)

    def watch(self, speed_mps: float) -> None:
        """Add the speed after a step in which the attentive driver drove."""
        self._speeds_mps.append(speed_mps)
        if len(self._speeds_mps) == self._speeds_mps.maxlen:
            before, middle, after = self._speeds_mps
            deviation_mps = _INDEPENDENT * (middle - (before + after) / 2)
            self._values_mps.append(min(_LARGEST_NOISE_MPS, max(-_LARGEST_NOISE_MPS, deviation_mps)))

    def interrupt(self) -> None:
        """Somebody else drives now: speeds before and after are no neighbours."""
        self._speeds_mps.clear()

    def draw(self, rng: np.random.Generator) -> float:
        """Noise for one step in m/s; 0 where nothing was watched yet."""
        place = rng.random()
        return self._values_mps[int(place * len(self._values_mps))] if self._values_mps else 0.0


class EgoDriver:
    """Turns the agent's action and the driver's attention into a speed for the ego.

    Args:
        settings: the task.
        ego_id: the ego's vehicle id.
        script: says when the driver is distracted.
        rng: the driver's stream.
        recent_speeds_mps: the ego's speeds before the first decision, one per step, when the attentive driver drove.
    """

    def __init__(
        self, settings: TaskSettings, ego_id: str, script: EpisodeScript, rng: np.random.Generator, recent_speeds_mps: Iterable[float]
    ) -> None:
        self._settings = settings
        self._ego_id = ego_id
        self._script = script
        self._rng = rng
        self._noise = SpeedNoise(recent_speeds_mps)
        self._held_speed_mps: float | None = None
        self._release = SpeedCommand(ego_id, None)

    def command(self, action: float, speed_mps: float, time_s: float) -> SpeedCommand:
        """The ego's command: braking above the release threshold, else holding while distracted, else the attentive driver."""
        if action > RELEASE_THRESHOLD:
            self._held_speed_mps = None
            self._noise.interrupt()
            braked_mps = speed_mps - self._settings.max_braking_mps2 * action * STEP_LENGTH_S
            return SpeedCommand(self._ego_id, max(0.0, braked_mps))
        if self._script.is_distracted(time_s):
            return SpeedCommand(self._ego_id, self._hold(speed_mps))
        self._held_speed_mps = None
        self._noise.watch(speed_mps)
        return self._release

    def _hold(self, speed_mps: float) -> float:
        if self._held_speed_mps is None:
            self._held_speed_mps = speed_mps
            self._noise.interrupt()
        # A standing car stands still.
        return max(0.0, self._held_speed_mps + self._noise.draw(self._rng)) if self._held_speed_mps > 0 else 0.0
