"""The ego's radio over one episode: who is heard, how late, with which errors.

In every period (0.1 s) each equipped car measures itself, with noise drawn once, and broadcasts once: the measurement, and what it has
heard from others before. Every directed link loses the broadcast or delivers it after its latency through a causal queue. So a measurement
reaches the ego over at most `relay.max_hops` links, a period or more later for each link after the first, and keeps the values and the age
that it has at its source. The ego's neighbour table holds the newest measurement per source.

Randomness: every vehicle has keys of its own, drawn from a stream named by its id, and every directed link has keys made of its two cars'
(draws.py). What a link does is therefore the same whatever other cars are there, and two parameter sets meet the same luck.

Not modelled: collisions on the air between senders and the load that forwarding adds, a gradual loss of range, offsets of the cars' clocks
and broadcast phases (all measure and send at the step), shadowing by vehicles or terrain, correlation of the losses or of the GPS errors
between cars, correlation in time of any sensor error but that of the GPS.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from roadsense.config import STEP_LENGTH_S
from roadsense.errors import UsageError
from roadsense.radio.draws import CarKeys
from roadsense.radio.links import Links
from roadsense.radio.message import MEASUREMENT_ROWS, HeardPeers, OwnMeasurement
from roadsense.radio.neighbours import NeighbourTable
from roadsense.radio.parameters import RadioParameters
from roadsense.radio.relay import Relay
from roadsense.radio.roster import Roster
from roadsense.radio.sensors import Sensors
from roadsense.radio.view import RadioView
from roadsense.state import FloatArray, SimulatorState, VehicleStates

__all__ = ["HeardPeers", "OwnMeasurement", "Radio"]

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
        self._hears_at_once = parameters.latency.base_ms == 0
        self._measured: FloatArray = np.empty((MEASUREMENT_ROWS, 0))
        self._measured_s = -np.inf
        self._heard_s = -np.inf
        self._period = 0
        self._roster = Roster.empty()
        self._followed: tuple[tuple[str, ...], Collection[str] | None] = ((), None)
        self._roster_key: tuple[tuple[str, ...], frozenset[str] | None] = ((), None)

    def step(self, state: SimulatorState, equipped: Collection[str] | None = None) -> HeardPeers:
        """Broadcast and receive once; returns what the ego knows of the others now.

        `equipped` names the cars with a radio beside the ego, `None` means all. Without the ego on the road nobody sends, and only what is
        on the air still arrives. Raises `UsageError` when less than a period of 0.1 s has passed since the last call.
        """
        if state.time_s < self._heard_s + _SHORTEST_PERIOD_S:
            raise UsageError(
                f"the radio was stepped at {state.time_s:g} s after {self._heard_s:g} s; "
                f"step it once per {STEP_LENGTH_S:g} s, and use a new Radio per episode"
            )
        self._heard_s = state.time_s
        self._period += 1
        measured = self._measure(state)
        ego_is_here = self._ego_id in state.vehicles.index
        if ego_is_here:
            self._follow(state.vehicles, equipped)
        # First receive, then send: what arrives now may be forwarded now, what is sent now is not known to others yet.
        self._relay.collect(state.time_s)
        if ego_is_here:
            self._broadcast(state, measured)
        return self._table.fresh(self._period, state.time_s, self._roster.ids, self._relay.heard)

    def own_measurement(self, state: SimulatorState) -> OwnMeasurement:
        """What the ego's own sensors say in this step, before or after `step` of the same state; raises `UsageError` without the ego."""
        ego_column = state.vehicles.index.get(self._ego_id)
        if ego_column is None:
            raise UsageError(f"the ego {self._ego_id!r} is not on the road at {state.time_s:g} s; end the episode when it leaves")
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

    def _measure(self, state: SimulatorState) -> FloatArray:
        # Every car's sensors run, equipped or not: the ego's own measurement must not wait for who transmits.
        if state.time_s != self._measured_s:
            if state.time_s < self._measured_s:
                raise UsageError(f"a state of {state.time_s:g} s came after one of {self._measured_s:g} s; use a new Radio per episode")
            self._measured = self._sensors.measure(state.vehicles, state.time_s - self._measured_s)
            self._measured_s = state.time_s
        return self._measured

    def _follow(self, vehicles: VehicleStates, equipped: Collection[str] | None) -> None:
        if vehicles.ids is self._followed[0] and equipped is self._followed[1]:
            return
        # A tuple cannot change, so meeting the same one again means the same cars.
        self._followed = (vehicles.ids, equipped) if equipped is None or isinstance(equipped, tuple) else ((), None)
        key = (vehicles.ids, None if equipped is None else frozenset(equipped))
        if key == self._roster_key:
            return
        before = self._roster
        remembered = self._table.remembers(self._period, self._relay.sent)
        self._roster, origin = before.follow(vehicles, self._ego_id, key[1], remembered)
        self._roster_key = key
        if (self._roster.ids, self._roster.present) == (before.ids, before.present):
            return
        self._relay.rearrange(origin)
        self._table.rearrange(origin)
        here = self._roster.present
        _, sending, receiving = self._keys.of(self._roster.ids[:here])
        receivers = here if self._relay.forwards else 1
        self._links.rearrange(sending, receiving[:receivers], np.where(origin[:here] < before.present, origin[:here], -1))

    def _broadcast(self, state: SimulatorState, measured: FloatArray) -> None:
        columns = self._roster.columns
        self._table.record(self._period, state.time_s, measured, columns)
        arrival_s = self._links.transmit(self._period, state.time_s, state.vehicles.x_m[columns], state.vehicles.y_m[columns])
        self._relay.broadcast(self._period, arrival_s)
        if self._hears_at_once:
            self._relay.collect(state.time_s)
