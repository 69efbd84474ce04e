"""The stopping rule on what was heard: every peer ahead on the ego's possible path, extrapolated by the age of its message.

**Who counts.** At distance r = hypot(forward, left), a car on the same road whose heading is turned by t against the ego's lies between
straight ahead (it has just turned) and r * sin(t) to the side (the ego turns right now). A peer counts if forward > 0, |t| is below
`max_turn_rad`, and its `left` lies in that interval, widened on both sides by `half_width_m` + `slope` * r for the errors of two positions
and headings. That leaves out oncoming and crossing traffic, and cars that have turned off to the other side than they stand on.

**How far.** Gap g = r + (relative speed) * age - 5 m car length - `spacing_m` for every counted peer in between: those cars stop too and
take up room. Speed u = own speed + relative speed + a * age, at least 0. `StoppingRule` decides.

Memoryless, so it needs nothing but the observation of one step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from roadsense.env.observation import Observation
from roadsense.evaluation.reference.stopping_rule import StoppingRule
from roadsense.features import EGO_COLUMN, EGO_SCALES, PEER_COLUMN
from roadsense.radio.observe import peers_from_observation
from roadsense.state import FloatArray

_CAR_LENGTH_M: Final = 5.0
_SPEED = EGO_COLUMN["speed_mps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corridor:
    """Which peers count as being ahead on the ego's path, and how much room each of them takes."""

    half_width_m: float = 12.0
    slope: float = 0.2
    max_turn_rad: float = 1.2
    spacing_m: float = 6.5

    def contains(self, peers: FloatArray) -> NDArray[np.bool_]:
        """Whether each of n peers counts: bool (n,). `peers` is (n, 6) in physical units, columns as in `PEER_FEATURES`."""
        forward_m, left_m = peers[:, PEER_COLUMN["forward_m"]], peers[:, PEER_COLUMN["left_m"]]
        turn_rad = peers[:, PEER_COLUMN["relative_heading_rad"]]
        distance_m = np.hypot(forward_m, left_m)
        aside_m = distance_m * np.sin(np.clip(turn_rad, -np.pi / 2, np.pi / 2))
        tolerance_m = self.half_width_m + self.slope * distance_m
        on_path = (left_m >= np.minimum(0.0, aside_m) - tolerance_m) & (left_m <= np.maximum(0.0, aside_m) + tolerance_m)
        contained: NDArray[np.bool_] = (forward_m > 0) & (np.abs(turn_rad) < self.max_turn_rad) & on_path
        return contained


class TimeToCollisionRadio:
    """A stopping-distance and time-to-collision rule on what was heard; no learning, no memory.

    Args:
        rule: the constants of the stopping rule.
        corridor: who counts as being ahead.
    """

    def __init__(self, *, rule: StoppingRule | None = None, corridor: Corridor | None = None) -> None:
        self._rule = rule if rule is not None else StoppingRule()
        self._corridor = corridor if corridor is not None else Corridor()

    def begin(self, _rng: np.random.Generator, /) -> None:
        """Nothing to prepare: the rule has no memory."""

    def __call__(self, observation: Observation, /) -> float:
        """The braking that the most urgent peer asks for."""
        peers = peers_from_observation(observation["peers"].values)
        counted = peers[self._corridor.contains(peers)]
        speed_mps = max(0.0, float(observation["ego"][_SPEED]) * float(EGO_SCALES[_SPEED]))
        return self._rule.action(self._required_decel_mps2(counted, speed_mps))

    def _required_decel_mps2(self, peers: FloatArray, speed_mps: float) -> FloatArray:
        """Deceleration that each counted peer asks of the ego, (n,), nearest first."""
        distance_m = np.hypot(peers[:, PEER_COLUMN["forward_m"]], peers[:, PEER_COLUMN["left_m"]])
        order = np.argsort(distance_m)
        peers, distance_m = peers[order], distance_m[order]
        age_s, accel_mps2 = peers[:, PEER_COLUMN["age_s"]], peers[:, PEER_COLUMN["accel_mps2"]]
        relative_mps = peers[:, PEER_COLUMN["relative_speed_mps"]]
        other_speed_mps = np.maximum(0.0, speed_mps + relative_mps + accel_mps2 * age_s)
        in_between_m = np.arange(peers.shape[0]) * self._corridor.spacing_m
        gap_m = distance_m + relative_mps * age_s - _CAR_LENGTH_M - in_between_m
        return self._rule.required_decel_mps2(speed_mps, gap_m, other_speed_mps, accel_mps2)
