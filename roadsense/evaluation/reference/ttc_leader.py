"""The stopping rule on what a forward radar knows: range and speed of the car directly ahead, and its acceleration with a tracker's lag.

Formula: `StoppingRule` with the radar's range as gap g (see `forward_radar`), the other's speed u = own speed - closing speed, and for its
acceleration the derivative of u through a first-order filter with `TRACKER_LAG_S`. A radar measures range and range rate; acceleration is
what its tracker makes of them over time, from 0 whenever a car comes into sight. A message carries it at once, and that is part of what
the radio is worth. The lag of half a second is an assumption: shorter ones make emergencies of the noise of a real range rate. There are
no other constants of its own, and the own speed is the true one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from roadsense.env.observation import Observation
from roadsense.errors import ConfigError
from roadsense.evaluation.reference.forward_radar import look
from roadsense.evaluation.reference.policy import Attached
from roadsense.evaluation.reference.stopping_rule import StoppingRule

TRACKER_LAG_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Track:
    """What the tracker knew of a car at a time."""

    vehicle_id: str
    time_s: float
    speed_mps: float
    accel_mps2: float


class TimeToCollisionLeader(Attached):
    """Brakes for the leader that a forward radar sees.

    Args:
        rule: the constants of the stopping rule; the same as for `ttc_radio`.
        tracker_lag_s: time constant of the filter; 0 is the exact derivative, infinity leaves the acceleration at 0.

    Raises:
        ConfigError: a lag below 0.
    """

    def __init__(self, *, rule: StoppingRule | None = None, tracker_lag_s: float = TRACKER_LAG_S) -> None:
        if not tracker_lag_s >= 0:
            raise ConfigError(f"the radar tracker's lag is {tracker_lag_s} s; give 0 or more")
        self._rule = rule if rule is not None else StoppingRule()
        self._tracker_lag_s = tracker_lag_s
        self._track: _Track | None = None

    def begin(self, _rng: np.random.Generator, /) -> None:
        """Forget the previous episode."""
        self._track = None

    def __call__(self, _observation: Observation, /) -> float:
        """The braking that the visible leader asks for."""
        state, episode = self._truth()
        ego_id, leader_id = episode.plan.scenario.ego_id, episode.situation.leader_id
        echo = look(state.vehicles, ego_id, leader_id) if leader_id is not None else None
        if leader_id is None or echo is None:
            self._track = None
            return 0.0
        speed_mps = float(state.vehicles.speed_mps[state.vehicles.index[ego_id]])
        leader = self._track = self._follow(leader_id, state.time_s, speed_mps - echo.closing_speed_mps)
        required_mps2 = self._rule.required_decel_mps2(
            speed_mps, np.array([echo.range_m]), np.array([leader.speed_mps]), np.array([leader.accel_mps2])
        )
        return self._rule.action(required_mps2)

    def _follow(self, vehicle_id: str, time_s: float, speed_mps: float) -> _Track:
        """The track after another echo; a new one when the car was not in sight the step before."""
        before = self._track
        if before is None or before.vehicle_id != vehicle_id or time_s <= before.time_s:
            return _Track(vehicle_id=vehicle_id, time_s=time_s, speed_mps=speed_mps, accel_mps2=0.0)
        elapsed_s = time_s - before.time_s
        derivative_mps2 = (speed_mps - before.speed_mps) / elapsed_s
        gain = elapsed_s / (elapsed_s + self._tracker_lag_s)
        accel_mps2 = before.accel_mps2 + gain * (derivative_mps2 - before.accel_mps2)
        return _Track(vehicle_id=vehicle_id, time_s=time_s, speed_mps=speed_mps, accel_mps2=accel_mps2)
