"""The stopping rule on what a forward radar measures: range and closing speed of the car directly ahead, while its rear bumper is in sight.

Formula: `StoppingRule` with the radar's range as gap g (see `forward_radar`) and the other's speed u = own speed - closing speed, as a car
that keeps its speed: only the closing term is left, which is a time-to-collision rule. A radar measures no acceleration. A message carries
it, and that is part of what the radio is worth; a tracker that differentiates the closing speed would know it later, and with noise. There
are no constants of its own, and the own speed is the true one: what this policy misses is what no radar could have seen.
"""

from __future__ import annotations

import numpy as np

from roadsense.env.observation import Observation
from roadsense.evaluation.reference.forward_radar import look
from roadsense.evaluation.reference.policy import Attached
from roadsense.evaluation.reference.stopping_rule import StoppingRule

_KEEPS_ITS_SPEED = np.zeros(1)


class TimeToCollisionLeader(Attached):
    """Brakes for the leader that a forward radar sees.

    Args:
        rule: the constants of the stopping rule; the same as for `ttc_radio`.
    """

    def __init__(self, *, rule: StoppingRule | None = None) -> None:
        self._rule = rule if rule is not None else StoppingRule()

    def begin(self, _rng: np.random.Generator, /) -> None:
        """Nothing to prepare: the rule has no memory."""

    def __call__(self, _observation: Observation, /) -> float:
        """The braking that the visible leader asks for."""
        state, episode = self._truth()
        ego_id, leader_id = episode.plan.scenario.ego_id, episode.situation.leader_id
        echo = look(state.vehicles, ego_id, leader_id) if leader_id is not None else None
        if echo is None:
            return 0.0
        speed_mps = float(state.vehicles.speed_mps[state.vehicles.index[ego_id]])
        leader_mps = np.array([speed_mps - echo.closing_speed_mps])
        return self._rule.action(self._rule.required_decel_mps2(speed_mps, np.array([echo.range_m]), leader_mps, _KEEPS_ITS_SPEED))
