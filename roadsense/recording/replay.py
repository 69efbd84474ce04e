"""A recorded drive through the neighbour table and a policy, which looks on: what it decides is not what the car does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roadsense.env.observation import Observation, observe
from roadsense.evaluation.reference import Policy
from roadsense.features import RELEASE_THRESHOLD
from roadsense.radio.message import OwnMeasurement
from roadsense.recording.geodesy import heading_rad, offset_m
from roadsense.recording.log import Message, Recording
from roadsense.recording.message_table import MessageTable
from roadsense.state import FloatArray

# The policy decides ten times a second, with every measurement of the ego's own; a log that holds more of them is thinned out.
_LEAST_STEP_S = 0.075


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What a policy would have done in a drive: arrays (T,) with one entry per decision.

    Attributes:
        time_s: of the ego's clock.
        action: fraction of full braking.
        peers: how many neighbours counted.
        observations: what the policy was given.
    """

    time_s: FloatArray
    action: FloatArray
    peers: FloatArray
    observations: tuple[Observation, ...]

    @property
    def brakes(self) -> FloatArray:
        """Whether the action lies above the release threshold, as 0 or 1."""
        return (self.action > RELEASE_THRESHOLD).astype(np.float64)


def replay(recording: Recording, policy: Policy, rng: np.random.Generator, *, stale_after_s: float = 0.5) -> Decisions:
    """Decide at every own measurement of the drive.

    The entry `previous_action` is 0 throughout: in the recorded drive nothing but the driver braked.

    Args:
        recording: the drive.
        policy: who decides; `begin` is called once.
        rng: for policies that draw.
        stale_after_s: age at which a neighbour is forgotten.
    """
    policy.begin(rng)
    table, waiting = MessageTable(stale_after_s), list(reversed(recording.heard))
    times: list[float] = []
    actions: list[float] = []
    counts: list[int] = []
    observations: list[Observation] = []
    for own in recording.own:
        now_s = own.logged_s
        if times and now_s < times[-1] + _LEAST_STEP_S:
            continue
        while waiting and waiting[-1].logged_s <= now_s:
            table.hear(waiting.pop(), now_s)
        heard = table.fresh(now_s, own.latitude_deg, own.longitude_deg)
        observation = observe(_at_origin(own), heard, 0.0)
        times.append(now_s)
        actions.append(float(policy(observation)))
        counts.append(len(heard))
        observations.append(observation)
    return Decisions(
        time_s=np.array(times), action=np.array(actions), peers=np.array(counts, dtype=np.float64), observations=tuple(observations)
    )


def forward_m(message: Message, own: Message) -> float:
    """How far ahead of the ego a message's source was, along the ego's heading; negative behind."""
    east_m, north_m = offset_m(message.latitude_deg, message.longitude_deg, own.latitude_deg, own.longitude_deg)
    angle_rad = heading_rad(own.compass_deg)
    return float(east_m * np.cos(angle_rad) + north_m * np.sin(angle_rad))


def _at_origin(own: Message) -> OwnMeasurement:
    return OwnMeasurement(x_m=0.0, y_m=0.0, speed_mps=own.speed_mps, accel_mps2=own.accel_mps2, heading_rad=heading_rad(own.compass_deg))
