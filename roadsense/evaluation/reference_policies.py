"""Policies that stand beside every learned one. A metric in which none of them fails says nothing.

Each is built once per process and told of every new episode through `begin`. All of them see only the observation.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from roadsense.env.observation import Observation
from roadsense.features import EGO_COLUMN, EGO_SCALES, PEER_COLUMN
from roadsense.radio.observe import peers_from_observation
from roadsense.state import FloatArray


class Policy(Protocol):
    """Maps an observation to the fraction of full braking in [0, 1]."""

    def begin(self, rng: np.random.Generator) -> None:
        """A new episode starts; `rng` is the episode's own stream for policies that draw."""
        ...

    def __call__(self, observation: Observation) -> float:
        """The action for this observation."""
        ...


class NeverBrake:
    """Leaves the car to its driver: what happens without RoadSense."""

    def begin(self, rng: np.random.Generator) -> None:
        """Nothing to prepare."""

    def __call__(self, observation: Observation) -> float:
        """Always 0."""
        return 0.0


class AlwaysBrake:
    """Brakes fully from the first step: no collision, no progress, false braking throughout."""

    def begin(self, rng: np.random.Generator) -> None:
        """Nothing to prepare."""

    def __call__(self, observation: Observation) -> float:
        """Always 1."""
        return 1.0


class RandomBursts:
    """Brakes at random in rare bursts of about a second; braking at random in every step would just park the car."""

    _START_PROBABILITY: Final = 0.01
    _STOP_PROBABILITY: Final = 0.1

    def __init__(self) -> None:
        self.begin(np.random.default_rng(0))

    def begin(self, rng: np.random.Generator) -> None:
        """Start outside a burst."""
        self._rng = rng
        self._amount = 0.0

    def __call__(self, observation: Observation) -> float:
        """0 outside a burst; inside, the amount drawn uniformly at its beginning."""
        if self._amount > 0:
            if self._rng.random() < self._STOP_PROBABILITY:
                self._amount = 0.0
        elif self._rng.random() < self._START_PROBABILITY:
            self._amount = float(self._rng.uniform(0.1, 1.0))
        return self._amount


class TimeToCollisionRadio:
    """A stopping-distance and time-to-collision rule on what was heard; no learning.

    Every peer ahead in the ego's corridor is extrapolated by the age of its message. Its rear bumper must stay out of reach: a peer that
    brakes with b >= 2 m/s2 stops after v^2 / 2b, any other keeps its speed. From that follows the constant deceleration that the ego needs
    (v^2 / 2d, or closing speed squared over twice the gap), with room for the cars in between. The rule brakes with 1.3 times what the most
    urgent peer needs as soon as that exceeds 2 m/s2. The constants were set by hand beforehand and never tuned.
    """

    _CAR_LENGTH_M: Final = 5.0
    _MARGIN_M: Final = 3.0
    _CORRIDOR_M: Final = 6.0
    _CORRIDOR_SLOPE: Final = 1.0  # a road may bend: the corridor widens with distance
    _MAX_HEADING_RAD: Final = 2.0
    _BRAKES_MPS2: Final = 2.0
    _TRIGGER_MPS2: Final = 2.0
    _GAIN: Final = 1.3
    _FULL_BRAKING_MPS2: Final = 8.0

    def begin(self, rng: np.random.Generator) -> None:
        """Nothing to prepare: the rule has no memory."""

    def __call__(self, observation: Observation) -> float:
        """The braking that the most urgent peer asks for."""
        peers = peers_from_observation(observation["peers"].values)
        speed_mps = float(observation["ego"][EGO_COLUMN["speed_mps"]]) * float(EGO_SCALES[EGO_COLUMN["speed_mps"]])
        relevant = self._ahead(peers)
        if relevant.shape[0] == 0 or speed_mps <= 0:
            return 0.0
        required_mps2 = float(self._required_decel(relevant, speed_mps).max())
        if required_mps2 < self._TRIGGER_MPS2:
            return 0.0
        return min(1.0, self._GAIN * required_mps2 / self._FULL_BRAKING_MPS2)

    def _ahead(self, peers: FloatArray) -> FloatArray:
        """Rows of peers ahead in the corridor and not oncoming, nearest first."""
        forward_m, left_m = peers[:, PEER_COLUMN["forward_m"]], peers[:, PEER_COLUMN["left_m"]]
        turned_rad = np.abs(peers[:, PEER_COLUMN["relative_heading_rad"]])
        in_corridor = np.abs(left_m) < self._CORRIDOR_M + self._CORRIDOR_SLOPE * forward_m
        relevant: FloatArray = peers[(forward_m > 0) & in_corridor & (turned_rad < self._MAX_HEADING_RAD)]
        return relevant[np.argsort(relevant[:, PEER_COLUMN["forward_m"]])]

    def _required_decel(self, peers: FloatArray, speed_mps: float) -> FloatArray:
        """Deceleration in m/s2 that each peer asks of the ego, shape (n,)."""
        age_s = peers[:, PEER_COLUMN["age_s"]]
        accel_mps2 = peers[:, PEER_COLUMN["accel_mps2"]]
        relative_mps = peers[:, PEER_COLUMN["relative_speed_mps"]]
        peer_speed_mps = np.maximum(0.0, speed_mps + relative_mps + accel_mps2 * age_s)
        distance_m = np.hypot(peers[:, PEER_COLUMN["forward_m"]], peers[:, PEER_COLUMN["left_m"]])
        in_between_m = np.arange(peers.shape[0]) * (self._CAR_LENGTH_M + self._MARGIN_M / 2)
        gap_m = distance_m + relative_mps * age_s - self._CAR_LENGTH_M - self._MARGIN_M - in_between_m
        brakes = -accel_mps2 >= self._BRAKES_MPS2
        stopping_m = peer_speed_mps**2 / (2 * np.maximum(-accel_mps2, self._BRAKES_MPS2))
        stop_room_m = np.maximum(gap_m + stopping_m, 0.5)
        closing_mps = np.maximum(0.0, speed_mps - peer_speed_mps)
        closing_decel_mps2 = closing_mps**2 / (2 * np.maximum(gap_m, 0.5))
        required_mps2: FloatArray = np.where(brakes, np.maximum(speed_mps**2 / (2 * stop_room_m), closing_decel_mps2), closing_decel_mps2)
        return required_mps2


REFERENCE_POLICIES: Final[dict[str, type[Policy]]] = {
    "never_brake": NeverBrake,
    "always_brake": AlwaysBrake,
    "random": RandomBursts,
    "ttc_radio": TimeToCollisionRadio,
}
