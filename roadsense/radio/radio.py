"""The ego's radio over one episode: who is heard, how late, with which errors.

In every period (0.1 s) each equipped car measures itself, with noise drawn once, and broadcasts once: the measurement, and what it has
heard from others before. Every directed link loses the broadcast or delivers it after its latency through a causal queue. So a measurement
reaches the ego over at most `relay.max_hops` links, a period or more later for each link after the first, and keeps the values and the age
that it has at its source. The ego's neighbour table holds the newest measurement per source.

Randomness: every vehicle has keys of its own, drawn from a stream named by its id, and every directed link has keys made of its two cars'
(draws.py). What a link does is therefore the same whatever other cars are there, and two parameter sets meet the same luck.

Not modelled: collisions on the air between senders and the load that forwarding adds, a gradual loss of range, offsets of the cars' clocks
and broadcast phases (all measure and send at the step), shadowing by vehicles or terrain, correlation of the losses between links, GPS
errors that are the more alike the nearer two cars are, correlation in time of any sensor error but that of the GPS.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from roadsense.config import STEP_LENGTH_S
from roadsense.errors import UsageError
from roadsense.features import EGO_SCALES, EGO_SIZE, PEER_SCALES, PEER_SIZE
from roadsense.radio.draws import CarKeys, KeyArray
from roadsense.radio.links import Links
from roadsense.radio.loops import FeatureArray, IntArray, PeriodArray, exchange
from roadsense.radio.message import HEADING_RAD, MEASUREMENT_ROWS, HeardPeers, OwnMeasurement
from roadsense.radio.neighbours import NeighbourTable
from roadsense.radio.parameters import RadioParameters
from roadsense.radio.relay import Relay
from roadsense.radio.roster import Roster
from roadsense.radio.sensors import Sensors
from roadsense.radio.view import RadioView
from roadsense.state import FloatArray, SimulatorState, VehicleStates

__all__ = ["HeardPeers", "OwnMeasurement", "Radio"]

_Lasting = tuple[
    IntArray,
    IntArray,
    FloatArray,
    KeyArray,
    float,
    float,
    FloatArray,
    PeriodArray,
    PeriodArray,
    FloatArray,
    float,
    FloatArray,
    FloatArray,
]
_SHORTEST_PERIOD_S = STEP_LENGTH_S * (1 - 1e-6)


class Radio:
    """What the ego hears in one episode; make a new one for every episode.

    Args:
        parameters: the radio environment.
        ego_id: the receiver.
        rng: source of the episode's radio seed; one number is drawn from it, here.
    """

    def __init__(self, parameters: RadioParameters, *, ego_id: str, rng: np.random.Generator) -> None:
        self._ego_id = ego_id
        self._keys = CarKeys(int(rng.integers(2**63)))
        self._sensors = Sensors(parameters.sensor_noise, self._keys)
        self._links = Links(parameters)
        self._relay = Relay(parameters.relay.max_hops)
        self._table = NeighbourTable(parameters.observation.stale_after_s)
        self.stale_after_s = parameters.observation.stale_after_s
        self._measured: FloatArray = np.empty((MEASUREMENT_ROWS, 0))
        self._measured_s = -np.inf
        self._heard_s = -np.inf
        self._period = 0
        self._roster = Roster.empty()
        self._ego_column: int | None = None
        self._followed: tuple[str, ...] | None = None
        self._followed_equipped: Collection[str] | None = None
        self._roster_key: tuple[tuple[str, ...], frozenset[str] | None] = ((), None)
        self._peers_shape = (0, PEER_SIZE)
        self._lasting = self._gathered()

    def step(self, state: SimulatorState, equipped: Collection[str] | None = None) -> HeardPeers:
        """Broadcast and receive once; returns what the ego knows of the others now.

        `equipped` names the cars with a radio beside the ego, `None` means all. Without the ego on the road nobody sends, and only what is
        on the air still arrives. Raises `UsageError` when less than a period of 0.1 s has passed since the last call.
        """
        self._advance(state, equipped, 0.0)
        return self.heard()

    def observe(
        self, state: SimulatorState, equipped: Collection[str] | None, previous_action: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`step`, and only what the network sees of it: the ego's features (3,) and its peers' (n, 6), arrays of the caller's own.

        Entries, units and scales are those of `roadsense.features`. Raises as `step` and `own_measurement`.
        """
        features = self._advance(state, equipped, previous_action)
        if features is None:
            raise self._ego_is_away(state)
        return features

    def heard(self) -> HeardPeers:
        """What the ego knew of the others in the last step; arrays of the caller's own."""
        return self._table.fresh(self._period, self._heard_s, self._roster.ids, self._relay.heard)

    def senses(self) -> tuple[OwnMeasurement, HeardPeers]:
        """What the ego measured and knew of the others in the last step, in which it was on the road."""
        return self._table.own(self._period), self.heard()

    def own_measurement(self, state: SimulatorState) -> OwnMeasurement:
        """What the ego's own sensors say in this step, before or after `step` of the same state; raises `UsageError` without the ego."""
        ego_column = state.vehicles.index.get(self._ego_id)
        if ego_column is None:
            raise self._ego_is_away(state)
        x_m, y_m, speed_mps, accel_mps2, heading_rad = self._measure(state)[:, ego_column].tolist()
        return OwnMeasurement(x_m=x_m, y_m=y_m, speed_mps=speed_mps, accel_mps2=accel_mps2, heading_rad=heading_rad)

    def view(self, state: SimulatorState) -> RadioView:
        """Who reached whom in the period of the last `step`, which must have been that of `state`; for looking on, it changes nothing.

        Raises `UsageError` when the radio was last stepped with another state, or without the ego.
        """
        if state.time_s != self._heard_s or self._ego_id not in state.vehicles.index:
            raise UsageError(
                f"the radio was last stepped at {self._heard_s:g} s, not at {state.time_s:g} s with the ego; view it after step"
            )
        columns, here = self._roster.columns, self._roster.present
        return RadioView(
            ids=self._roster.ids[:here],
            fates=self._links.fates(state.vehicles.x_m[columns], state.vehicles.y_m[columns]),
            links=dict(zip(self._roster.ids, self._relay.links.tolist(), strict=True)),
        )

    def _ego_is_away(self, state: SimulatorState) -> UsageError:
        return UsageError(f"the ego {self._ego_id!r} is not on the road at {state.time_s:g} s; end the episode when it leaves")

    def _advance(
        self, state: SimulatorState, equipped: Collection[str] | None, previous_action: float
    ) -> tuple[FeatureArray, FeatureArray] | None:
        """Broadcast and receive once; the features of the ego and of its peers, None without the ego on the road."""
        now_s, vehicles = state.time_s, state.vehicles
        if now_s < self._heard_s + _SHORTEST_PERIOD_S:
            raise UsageError(
                f"the radio was stepped at {now_s:g} s after {self._heard_s:g} s; "
                f"step it once per {STEP_LENGTH_S:g} s, and use a new Radio per episode"
            )
        self._heard_s = now_s
        self._period = period = self._period + 1
        measured = self._measured if now_s == self._measured_s else self._measure(state)
        if vehicles.ids is not self._followed or equipped is not self._followed_equipped:
            self._follow(vehicles, equipped)
        relay = self._relay
        if self._ego_column is None:
            relay.collect(now_s)
            return None
        if relay.on_air == relay.room:
            relay.make_room()
            self._lasting = self._gathered()
        links = self._links
        latency_row = links.latencies.row(period) if links.latency_matters else 0
        heading_rad = measured.item(HEADING_RAD, self._ego_column)
        ego = np.empty(EGO_SIZE, np.float32)
        peers = np.empty(self._peers_shape, np.float32)
        count, relay.on_air = exchange(
            period,
            now_s,
            relay.on_air,
            measured,
            vehicles.x_m,
            vehicles.y_m,
            links.latencies.block,
            latency_row,
            math.cos(heading_rad),
            math.sin(heading_rad),
            previous_action,
            ego,
            peers,
            *self._lasting,
        )
        return ego, peers if count == len(peers) else peers[:count]

    def _measure(self, state: SimulatorState) -> FloatArray:
        # Every car's sensors run, equipped or not: the ego's own measurement must not wait for who transmits.
        if state.time_s != self._measured_s:
            if state.time_s < self._measured_s:
                raise UsageError(f"a state of {state.time_s:g} s came after one of {self._measured_s:g} s; use a new Radio per episode")
            self._measured = self._sensors.measure(state.vehicles, state.time_s - self._measured_s)
            self._measured_s = state.time_s
        return self._measured

    def _follow(self, vehicles: VehicleStates, equipped: Collection[str] | None) -> None:
        """Find out who takes part now."""
        # A tuple cannot change, so meeting the same one again means the same cars.
        can_change = not (equipped is None or isinstance(equipped, tuple))
        if not can_change and equipped is self._followed_equipped and vehicles.ids == self._followed:
            self._followed = vehicles.ids
            return
        self._followed, self._followed_equipped = None if can_change else vehicles.ids, equipped
        self._ego_column = vehicles.index.get(self._ego_id)
        key = (vehicles.ids, None if equipped is None else frozenset(equipped))
        if self._ego_column is None or key == self._roster_key:
            return
        before = self._roster
        remembered = self._table.remembers(self._period, self._relay.sent)
        self._roster, origin = before.follow(vehicles, self._ego_id, key[1], remembered)
        self._roster_key = key
        if (self._roster.ids, self._roster.present) != (before.ids, before.present):
            self._relay.rearrange(origin)
            self._table.rearrange(origin)
            here = self._roster.present
            _, sending, receiving = self._keys.of(self._roster.ids[:here])
            receivers = here if self._relay.forwards else 1
            self._links.rearrange(sending, receiving[:receivers], np.where(origin[:here] < before.present, origin[:here], -1))
            self._peers_shape = (len(origin) - 1, PEER_SIZE)
        self._lasting = self._gathered()

    def _gathered(self) -> _Lasting:
        """What `exchange` takes in every step while the same cars are there, in its order."""
        links, relay = self._links, self._relay
        return (
            self._roster.columns,
            links.state,
            links.bands,
            links.keys,
            links.base_s,
            links.jitter_s,
            relay.arrival_s,
            relay.held,
            relay.heard,
            self._table.measured,
            self.stale_after_s,
            EGO_SCALES,
            PEER_SCALES,
        )
