"""A rule that should not work: brake when the own acceleration is flat.

An attentive driver keeps correcting the speed, a distracted one holds it. If distraction came only with hazards, a flat acceleration would
announce them, and this rule would avoid every crash without hearing a single peer. In an honest task it does no better than braking at
random equally often; the rule stands here to show that.

Formula: over the last `memory_steps` steps in which the agent did not brake, m = mean(|own acceleration|). As soon as the memory is full
and m < `flat_mps2`, brake fully for `burst_steps`, then begin a new memory. The agent's own braking says nothing of the driver and is left
out.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from roadsense.env.observation import Observation
from roadsense.errors import ConfigError
from roadsense.features import EGO_COLUMN, EGO_SCALES, RELEASE_THRESHOLD

_ACCEL, _PREVIOUS_ACTION = EGO_COLUMN["accel_mps2"], EGO_COLUMN["previous_action"]


class LeakRule:
    """Brakes in bursts when the own acceleration has been flat; never looks at a peer.

    Args:
        memory_steps: length of the memory, at least 1.
        flat_mps2: mean size of the acceleration below which it counts as flat.
        burst_steps: length of a burst of full braking, at least 1.

    Raises:
        ConfigError: a length below 1.
    """

    def __init__(self, *, memory_steps: int = 10, flat_mps2: float = 0.2, burst_steps: int = 10) -> None:
        if memory_steps < 1 or burst_steps < 1:
            raise ConfigError(f"memory_steps is {memory_steps} and burst_steps {burst_steps}; give at least 1 of each")
        self._flat_mps2 = flat_mps2
        self._burst_steps = burst_steps
        self._sizes_mps2: deque[float] = deque(maxlen=memory_steps)
        self._steps_left = 0

    def begin(self, _rng: np.random.Generator, /) -> None:
        """Forget the previous episode."""
        self._sizes_mps2.clear()
        self._steps_left = 0

    def __call__(self, observation: Observation, /) -> float:
        """1 in a burst, else 0."""
        ego = observation["ego"]
        if self._steps_left == 0:
            self._remember(float(ego[_ACCEL] * EGO_SCALES[_ACCEL]), own_braking=bool(ego[_PREVIOUS_ACTION] > RELEASE_THRESHOLD))
        if self._steps_left == 0:
            return 0.0
        self._steps_left -= 1
        return 1.0

    def _remember(self, accel_mps2: float, *, own_braking: bool) -> None:
        """Add a step to the memory; start a burst when it is full and flat."""
        if own_braking:
            return
        self._sizes_mps2.append(abs(accel_mps2))
        if len(self._sizes_mps2) == self._sizes_mps2.maxlen and np.mean(self._sizes_mps2) < self._flat_mps2:
            self._sizes_mps2.clear()
            self._steps_left = self._burst_steps
