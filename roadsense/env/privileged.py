"""What the critic is told in training and the policy never is: the true situation, and what is drawn for the rest of the episode.

Whether a hazard comes decides most of an episode's return, and no action has any influence on it. A critic that does not know must call
every hazard bad luck, and this luck drowns what the actions did. A baseline may depend on anything that the actions do not change without
biasing the policy gradient: the true state (Pinto et al., "Asymmetric Actor Critic for Image-Based Robot Learning", RSS 2018), and events
drawn beforehand, also future ones (Mao et al., "Variance Reduction for Reinforcement Learning in Input-Driven Environments", ICLR 2019).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from roadsense.compiled import compiled
from roadsense.env.hazard import PILE_UP
from roadsense.env.ledger import ACCEL_MPS2, CLOSING_MPS, GAP_M, LEADER_SPEED_MPS, SPEED_MPS
from roadsense.env.script import EpisodeScript
from roadsense.env.situation import required_decel_mps2
from roadsense.env.task import ConvoyEpisode
from roadsense.state import FloatArray, SimulatorState

PRIVILEGED_SIZE: Final = 21

_SPEED_MPS, _CLOSING_MPS, _DECEL_MPS2 = 30.0, 10.0, 8.0
_NEAR_M, _FAR_M = 10.0, 50.0
_SOON_S, _LATER_S = 1.0, 5.0

# What is drawn for an episode, as numbers: the entries of `_Drawn.numbers`.
_ONSET_S, _RESOLVES_S, _HAZARD_DECEL, _INVERSE_RANK, _END_SPEED, _IS_PILE_UP, _BENIGN_S = range(7)
_NOBODY: Final = -1


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A script in numbers: times that never come are infinite, a hazard that never comes has resolved before the episode begins."""

    numbers: FloatArray
    windows_s: FloatArray  # (W, 2), begin and end of each distraction

    @classmethod
    def of(cls, script: EpisodeScript) -> _Drawn:
        benign_s = math.inf if script.benign is None else script.benign.onset_s
        if (hazard := script.hazard) is None:
            numbers = (math.inf, -math.inf, 0.0, 0.0, 0.0, 0.0, benign_s)
        else:
            decel, end_speed = hazard.decel_mps2 / _DECEL_MPS2, 2.0 * hazard.end_speed_fraction
            numbers = (hazard.onset_s, hazard.resolves_s, decel, 1.0 / hazard.rank, end_speed, float(hazard.kind == PILE_UP), benign_s)
        windows = [(window.start_s, window.end_s) for window in script.distractions]
        return cls(np.array(numbers), np.array(windows, dtype=np.float64).reshape(-1, 2))


class Privileged:
    """What the critic is told of one episode."""

    def __init__(self, episode: ConvoyEpisode) -> None:
        self._episode = episode
        self._drawn = _Drawn.of(episode.script)
        hazard = episode.script.hazard
        self._hazard_id = None if hazard is None else hazard.vehicle_id

    def entries(self, state: SimulatorState) -> NDArray[np.float32]:
        """Entries (PRIVILEGED_SIZE,), each about in [-1, 1]; distances d and times t as exp(-d / 50 m), exp(-t / 5 s) and the like.

        The ego and the car ahead, the driver's distraction now and next, the hazard and the benign braking, come or still to come. After
        the ego has left the road, the last ones on it.
        """
        episode, vehicles = self._episode, state.vehicles
        entries = np.empty(PRIVILEGED_SIZE, dtype=np.float32)
        ego = vehicles.index.get(episode.ego_id, _NOBODY)
        hazard = _NOBODY if self._hazard_id is None or ego == _NOBODY else vehicles.index.get(self._hazard_id, _NOBODY)
        _fill(
            entries,
            episode.latest,
            self._drawn.numbers,
            self._drawn.windows_s,
            episode.elapsed_s(state),
            episode.hazard_times.fired_s is not None,
            hazard,
            ego,
            episode.starts_m,
            vehicles.lane_position_m,
            vehicles.speed_mps,
        )
        return entries


@compiled
def _fill(
    entries: NDArray[np.float32],
    now: FloatArray,
    drawn: FloatArray,
    windows_s: FloatArray,
    now_s: float,
    fired: bool,
    hazard: int,
    ego: int,
    starts_m: FloatArray,
    lane_position_m: FloatArray,
    speed_mps: FloatArray,
) -> None:
    """Write all entries; `now` is the ledger's row, `hazard` and `ego` are places among the vehicles, -1 for one that is not there."""
    gap_m, closing_mps = max(0.0, now[GAP_M]), now[CLOSING_MPS]
    entries[0] = now[SPEED_MPS] / _SPEED_MPS
    entries[1] = now[ACCEL_MPS2] / _DECEL_MPS2
    entries[2] = math.exp(-gap_m / _NEAR_M)
    entries[3] = math.exp(-gap_m / _FAR_M)
    entries[4] = min(2.0, closing_mps / _CLOSING_MPS)
    entries[5] = min(2.0, required_decel_mps2(now[GAP_M], closing_mps) / _DECEL_MPS2)
    entries[6] = now[LEADER_SPEED_MPS] / _SPEED_MPS

    ends_s, begins_s = now_s, np.inf
    for window in range(len(windows_s)):
        if windows_s[window, 0] > now_s:
            begins_s = min(begins_s, windows_s[window, 0])
        elif now_s < windows_s[window, 1]:
            ends_s = max(ends_s, windows_s[window, 1])
    entries[7] = ends_s > now_s
    entries[8] = 1.0 - math.exp(-(ends_s - now_s) / _LATER_S)
    entries[9] = _soon(begins_s - now_s)

    onset_s, resolves_s = drawn[_ONSET_S], drawn[_RESOLVES_S]
    is_over = now_s > resolves_s
    entries[10] = fired and not is_over
    entries[11] = 0.0 if fired else math.exp(-max(0.0, onset_s - now_s) / _LATER_S)
    entries[12] = 0.0 if fired else _soon(onset_s - now_s)
    entries[13] = 0.0 if is_over else drawn[_HAZARD_DECEL]
    entries[14] = 0.0 if is_over else drawn[_INVERSE_RANK]
    entries[15] = 0.0 if is_over else drawn[_END_SPEED]
    entries[16] = 0.0 if is_over else drawn[_IS_PILE_UP]
    entries[17] = 0.0 if is_over else math.exp(-max(0.0, resolves_s - max(now_s, onset_s)) / _LATER_S)

    ahead_m, hazard_mps = np.inf, 0.0
    if hazard >= 0:
        distance_m = starts_m[hazard] + lane_position_m[hazard] - lane_position_m[ego]
        if distance_m > 0.0:  # a comparison with NaN, off the route, is false
            ahead_m, hazard_mps = distance_m, speed_mps[hazard]
    entries[18] = math.exp(-ahead_m / _FAR_M)
    entries[19] = hazard_mps / _SPEED_MPS
    entries[20] = _soon(drawn[_BENIGN_S] - now_s)


@compiled
def _soon(wait_s: float) -> float:
    """1 for an event that begins now, less the longer it is still to come, 0 when it has passed."""
    return math.exp(-wait_s / _SOON_S) if wait_s >= 0.0 else 0.0
