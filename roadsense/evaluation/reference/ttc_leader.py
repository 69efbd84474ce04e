"""The stopping rule on what a forward radar sees: the car directly ahead, while there is a line of sight to its rear bumper.

Formula: `StoppingRule` with the radar's range as gap g (see `forward_radar`), the other's speed u = own speed - closing speed, and its
acceleration a = change of u since the previous step, if the same car was seen then, else 0. There are no constants of its own. The own
speed is the true one, and with an exact closing speed one step is enough to differentiate: what this policy misses is what no radar could
have seen.
"""

from __future__ import annotations

import numpy as np

from roadsense.env.observation import Observation
from roadsense.evaluation.reference.forward_radar import look
from roadsense.evaluation.reference.policy import Attached
from roadsense.evaluation.reference.stopping_rule import StoppingRule


class TimeToCollisionLeader(Attached):
    """Brakes for the leader that a forward radar sees.

    Args:
        rule: the constants of the stopping rule; the same as for `ttc_radio`.
    """

    def __init__(self, *, rule: StoppingRule | None = None) -> None:
        self._rule = rule if rule is not None else StoppingRule()
        self._seen: tuple[str, float, float] | None = None  # id, speed and time of the last echo

    def begin(self, _rng: np.random.Generator, /) -> None:
        """Forget the previous episode."""
        self._seen = None

    def __call__(self, _observation: Observation, /) -> float:
        """The braking that the visible leader asks for."""
        state, episode = self._truth()
        ego_id, leader_id = episode.plan.scenario.ego_id, episode.situation.leader_id
        echo = look(state.vehicles, ego_id, leader_id) if leader_id is not None else None
        if leader_id is None or echo is None:
            self._seen = None
            return 0.0
        speed_mps = float(state.vehicles.speed_mps[state.vehicles.index[ego_id]])
        leader_speed_mps = speed_mps - echo.closing_speed_mps
        accel_mps2 = self._accel_mps2(leader_id, leader_speed_mps, state.time_s)
        return self._rule.action(
            self._rule.required_decel_mps2(speed_mps, np.array([echo.range_m]), np.array([leader_speed_mps]), np.array([accel_mps2]))
        )

    def _accel_mps2(self, leader_id: str, speed_mps: float, time_s: float) -> float:
        """Change of the leader's speed since it was last seen; 0 when another car or nothing was seen then."""
        before, self._seen = self._seen, (leader_id, speed_mps, time_s)
        if before is None or before[0] != leader_id or time_s <= before[2]:
            return 0.0
        return (speed_mps - before[1]) / (time_s - before[2])
