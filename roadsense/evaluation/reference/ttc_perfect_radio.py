"""`ttc_radio` with a perfect radio: what the losses, delays and sensor errors of the real one cost.

Formula: the rule and constants of `ttc_radio` on an observation made from the true state of all equipped cars: no noise, no loss, age 0.
"""

from __future__ import annotations

import numpy as np

from roadsense.env.observation import Observation, observe
from roadsense.env.task import ConvoyEpisode
from roadsense.evaluation.reference.policy import Attached
from roadsense.evaluation.reference.stopping_rule import StoppingRule
from roadsense.evaluation.reference.ttc_radio import Corridor, TimeToCollisionRadio
from roadsense.features import EGO_COLUMN, EGO_SCALES
from roadsense.radio.message import HeardPeers, OwnMeasurement
from roadsense.state import SimulatorState

_PREVIOUS_ACTION = EGO_COLUMN["previous_action"]


class TimeToCollisionPerfectRadio(Attached):
    """Brakes as `ttc_radio` would if it heard every equipped car at once and exactly.

    Args:
        rule: the constants of the stopping rule.
        corridor: who counts as being ahead.
    """

    def __init__(self, *, rule: StoppingRule | None = None, corridor: Corridor | None = None) -> None:
        self._decide = TimeToCollisionRadio(rule=rule, corridor=corridor)

    def begin(self, _rng: np.random.Generator, /) -> None:
        """Nothing to prepare: the rule has no memory."""

    def __call__(self, observation: Observation, /) -> float:
        """The braking that the most urgent equipped car asks for."""
        state, episode = self._truth()
        previous_action = float(observation["ego"][_PREVIOUS_ACTION]) * float(EGO_SCALES[_PREVIOUS_ACTION])
        return self._decide(true_observation(state, episode, previous_action))


def true_observation(state: SimulatorState, episode: ConvoyEpisode, previous_action: float) -> Observation:
    """What the ego would observe if every equipped car around it were heard without noise, loss or delay."""
    vehicles, scenario = state.vehicles, episode.plan.scenario
    ego = vehicles.index[scenario.ego_id]
    own = OwnMeasurement(
        x_m=float(vehicles.x_m[ego]),
        y_m=float(vehicles.y_m[ego]),
        speed_mps=float(vehicles.speed_mps[ego]),
        accel_mps2=float(vehicles.accel_mps2[ego]),
        heading_rad=float(vehicles.heading_rad[ego]),
    )
    rows = [row for row, vehicle_id in enumerate(vehicles.ids) if row != ego and scenario.is_equipped(vehicle_id)]
    heard = HeardPeers(
        source_ids=tuple([vehicles.ids[row] for row in rows]),
        x_m=vehicles.x_m[rows],
        y_m=vehicles.y_m[rows],
        speed_mps=vehicles.speed_mps[rows],
        accel_mps2=vehicles.accel_mps2[rows],
        heading_rad=vehicles.heading_rad[rows],
        age_s=np.zeros(len(rows)),
    )
    return observe(own, heard, previous_action)
