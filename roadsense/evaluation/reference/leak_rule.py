"""A rule that should not work: brake when the own acceleration is flat.

An attentive driver keeps correcting the speed, a distracted one holds it. If distraction came only with hazards, a flat acceleration would
announce them, and this rule would avoid crashes without hearing a single peer. In an honest task it does no better than braking at random
equally often; the rule stands here to show that.

Formula: over the last `memory_steps` steps in which the agent did not brake, m = mean(|own acceleration|). As soon as the memory is full
and m < `flat_mps2`, a burst begins, of the same amounts and lengths as those of `random`; after it a new memory begins. Only *when* it
brakes differs from `random`. The agent's own braking says nothing of the driver and is left out of the memory.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from roadsense.env.observation import Observation
from roadsense.errors import ConfigError
from roadsense.evaluation.reference.random_bursts import Burst
from roadsense.features import EGO_COLUMN, EGO_SCALES, RELEASE_THRESHOLD

_ACCEL, _PREVIOUS_ACTION = EGO_COLUMN["accel_mps2"], EGO_COLUMN["previous_action"]


class LeakRule:
    """Brakes in bursts when the own acceleration has been flat; never looks at a peer.

    Args:
        memory_steps: length of the memory, at least 1.
        flat_mps2: mean size of the acceleration below which it counts as flat.

    Raises:
        ConfigError: a memory below one step.
    """

    def __init__(self, *, memory_steps: int = 10, flat_mps2: float = 0.26) -> None:
        if memory_steps < 1:
            raise ConfigError(f"the leak rule's memory_steps is {memory_steps}; give at least 1")
        self._flat_mps2 = flat_mps2
        self._sizes_mps2: deque[float] = deque(maxlen=memory_steps)
        self.begin(np.random.default_rng(0))

    def begin(self, rng: np.random.Generator, /) -> None:
        """Forget the previous episode; start outside a burst."""
        self._sizes_mps2.clear()
        self._burst = Burst(rng)

    def __call__(self, observation: Observation, /) -> float:
        """The burst's amount; 0 outside."""
        ego = observation["ego"]
        if self._burst.amount > 0:
            self._burst.go_on()
        elif ego[_PREVIOUS_ACTION] <= RELEASE_THRESHOLD:
            self._remember(float(ego[_ACCEL] * EGO_SCALES[_ACCEL]))
        return self._burst.amount

    def _remember(self, accel_mps2: float) -> None:
        """Add a step to the memory; begin a burst when it is full and flat."""
        self._sizes_mps2.append(abs(accel_mps2))
        if len(self._sizes_mps2) == self._sizes_mps2.maxlen and np.mean(self._sizes_mps2) < self._flat_mps2:
            self._sizes_mps2.clear()
            self._burst.begin()
