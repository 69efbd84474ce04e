"""Foresight: full braking from the very step in which the hazard begins. What crashes under it was unavoidable.

Formula: action 1 from the hazard's onset until one second after it has resolved (for ever, when it does not resolve), else 0. The second is
the one that the false-braking figure grants everybody. A hazard that does not come after all, because its car has left the ego's path, is
braked for in one step: only then is it known.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from roadsense.env.observation import Observation
from roadsense.evaluation.reference.policy import Attached


class Oracle(Attached):
    """Knows the script: brakes fully for a hazard, and for nothing else."""

    _AFTER_HAZARD_S: Final = 1.0

    def __init__(self) -> None:
        self._saw_onset = False

    def begin(self, _rng: np.random.Generator, /) -> None:
        """No hazard has begun yet."""
        self._saw_onset = False

    def __call__(self, _observation: Observation, /) -> float:
        """1 while the hazard lasts and a second longer, else 0."""
        state, episode = self._truth()
        hazard = episode.script.hazard
        elapsed_s = episode.elapsed_s(state)
        if hazard is None or elapsed_s < hazard.onset_s:
            return 0.0
        begins, self._saw_onset = not self._saw_onset, True
        lasts = elapsed_s <= hazard.resolves_s + self._AFTER_HAZARD_S
        return 1.0 if lasts and (begins or episode.hazard_times.fired_s is not None) else 0.0
