"""What the critic is told in training and the policy never is: the true situation, and what is drawn for the rest of the episode.

Whether a hazard comes decides most of an episode's return, and no action has any influence on it. A critic that does not know must call
every hazard bad luck, and this luck drowns what the actions did. A baseline may depend on anything that the actions do not change without
biasing the policy gradient: the true state (Pinto et al., "Asymmetric Actor Critic for Image-Based Robot Learning", RSS 2018), and events
drawn beforehand, also future ones (Mao et al., "Variance Reduction for Reinforcement Learning in Input-Driven Environments", ICLR 2019).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from roadsense.env.hazard import PILE_UP
from roadsense.env.task import ConvoyEpisode
from roadsense.state import SimulatorState

PRIVILEGED_SIZE: Final = 21

_SPEED_MPS, _CLOSING_MPS, _DECEL_MPS2 = 30.0, 10.0, 8.0
_NEAR_M, _FAR_M = 10.0, 50.0
_SOON_S, _LATER_S = 1.0, 5.0
_NEVER_S: Final = math.inf


def privileged(episode: ConvoyEpisode, state: SimulatorState) -> NDArray[np.float32]:
    """Entries (PRIVILEGED_SIZE,), each about in [-1, 1]; distances d and times t as exp(-d / 50 m), exp(-t / 5 s) and the like.

    The ego and the car ahead, the driver's distraction now and next, the hazard and the benign braking, come or still to come.
    """
    situation, script, now_s = episode.situation, episode.script, episode.elapsed_s(state)
    ends_s = max([window.end_s for window in script.distractions if window.start_s <= now_s < window.end_s], default=now_s)
    begins_s = min([window.start_s for window in script.distractions if window.start_s > now_s], default=_NEVER_S)
    hazard, fired = script.hazard, episode.statistics.hazard_fired_s is not None
    hazard_m, hazard_mps = (math.inf, 0.0) if hazard is None else episode.car_ahead(hazard.vehicle_id, state)
    onset_s = _NEVER_S if hazard is None else hazard.onset_s
    is_over = hazard is None or now_s > hazard.resolves_s
    benign_s = _NEVER_S if script.benign is None else script.benign.onset_s
    return np.array(
        (
            situation.speed_mps / _SPEED_MPS,
            situation.accel_mps2 / _DECEL_MPS2,
            math.exp(-max(0.0, situation.gap_m) / _NEAR_M),
            math.exp(-max(0.0, situation.gap_m) / _FAR_M),
            min(2.0, situation.closing_speed_mps / _CLOSING_MPS),
            min(2.0, situation.required_decel_mps2 / _DECEL_MPS2),
            situation.leader_speed_mps / _SPEED_MPS,
            ends_s > now_s,
            1.0 - math.exp(-(ends_s - now_s) / _LATER_S),
            _soon(begins_s - now_s),
            not is_over and fired,
            0.0 if fired else math.exp(-max(0.0, onset_s - now_s) / _LATER_S),
            0.0 if fired else _soon(onset_s - now_s),
            0.0 if is_over or hazard is None else hazard.decel_mps2 / _DECEL_MPS2,
            0.0 if is_over or hazard is None else 1.0 / hazard.rank,
            0.0 if is_over or hazard is None else 2.0 * hazard.end_speed_fraction,
            not is_over and hazard is not None and hazard.kind == PILE_UP,
            0.0 if is_over or hazard is None else math.exp(-max(0.0, hazard.resolves_s - max(now_s, onset_s)) / _LATER_S),
            math.exp(-hazard_m / _FAR_M),
            hazard_mps / _SPEED_MPS,
            _soon(benign_s - now_s),
        ),
        dtype=np.float32,
    )


def _soon(wait_s: float) -> float:
    """1 for an event that begins now, less the longer it is still to come, 0 when it has passed."""
    return math.exp(-wait_s / _SOON_S) if wait_s >= 0.0 else 0.0
