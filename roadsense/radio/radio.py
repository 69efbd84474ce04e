"""The ego's radio over one episode: who is heard, how late, with which errors.

In every step (0.1 s) each equipped car measures itself, with noise drawn once, and broadcasts the measurement once; the link to the ego
loses it or delivers it after its latency through a causal queue; the ego's neighbour table keeps the newest message per source.

Randomness: every vehicle has a stream of its own for its sensors and one for its link, named by its id. The number of draws depends on
neither parameters nor outcomes. What is heard from one car is therefore the same whatever other cars are there, and two parameter sets
meet the same luck.

Not modelled: relaying over several hops, a range limit other than a loss of 1 in the table, collisions on the air between senders, offsets
of the cars' clocks and broadcast phases (all measure at the step), shadowing by vehicles or terrain, correlation in time of any sensor
error but that of the GPS.

The per-step arithmetic lives in functions on arrays (`with_noise`, `correlated_errors`, `burst_transitions`, `latencies_s`) with vehicles
along the last axis, so several environments can be laid side by side.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from roadsense.errors import UsageError
from roadsense.radio.delivery import DeliveryQueue, Packets
from roadsense.radio.links import Links
from roadsense.radio.message import MEASUREMENT_ROWS, MESSAGE_ROWS, HeardPeers, OwnMeasurement
from roadsense.radio.neighbours import NeighbourTable
from roadsense.radio.parameters import RadioParameters
from roadsense.radio.sensors import Sensors
from roadsense.state import FloatArray, SimulatorState, VehicleStates

__all__ = ["HeardPeers", "OwnMeasurement", "Radio"]


class Radio:
    """What the ego hears in one episode; make a new one for every episode.

    Args:
        parameters: the radio environment.
        ego_id: the receiver.
        rng: source of the episode's radio seed; one number is drawn from it, here.
    """

    def __init__(self, parameters: RadioParameters, *, ego_id: str, rng: np.random.Generator) -> None:
        root_seed = int(rng.integers(2**63))
        self._ego_id = ego_id
        self._sensors = Sensors(parameters.sensor_noise, root_seed)
        self._links = Links(parameters, ego_id, root_seed)
        self._queue = DeliveryQueue()
        self._table = NeighbourTable(parameters.observation.stale_after_s)
        self._measured: FloatArray = np.empty((MEASUREMENT_ROWS, 0))
        self._measured_s = -np.inf
        self._heard_s = -np.inf
        self._roster_key: tuple[tuple[str, ...], frozenset[str] | None] = ((), None)
        self._sender_ids: tuple[str, ...] = ()
        self._sender_columns: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self._sender_rows: NDArray[np.intp] = np.empty(0, dtype=np.intp)

    def step(self, state: SimulatorState, equipped: Collection[str] | None = None) -> HeardPeers:
        """Broadcast and receive once; returns what the ego knows of the others now.

        `equipped` names the cars with a radio, `None` means all. Without the ego on the road nothing new is received. Raises `UsageError`
        when time does not advance from one call to the next.
        """
        if state.time_s <= self._heard_s:
            raise UsageError(
                f"the radio was stepped at {state.time_s:g} s after {self._heard_s:g} s; step it once per step, a new Radio per episode"
            )
        self._heard_s = state.time_s
        measured = self._measure(state)
        ego_column = state.vehicles.index.get(self._ego_id)
        if ego_column is not None:
            self._choose_senders(state.vehicles, equipped)
            self._broadcast(state, measured, ego_column)
        for packets in self._queue.collect(state.time_s):
            self._table.accept(packets)
        return self._table.fresh(state.time_s)

    def own_measurement(self, state: SimulatorState) -> OwnMeasurement:
        """What the ego's own sensors say in this step, before or after `step` of the same state; raises `UsageError` without the ego."""
        ego_column = state.vehicles.index.get(self._ego_id)
        if ego_column is None:
            raise UsageError(f"the ego {self._ego_id!r} is not on the road at {state.time_s:g} s; end the episode when it leaves")
        x_m, y_m, speed_mps, accel_mps2, heading_rad = self._measure(state)[:, ego_column].tolist()
        return OwnMeasurement(x_m=x_m, y_m=y_m, speed_mps=speed_mps, accel_mps2=accel_mps2, heading_rad=heading_rad)

    def _measure(self, state: SimulatorState) -> FloatArray:
        # Every car's sensors run, equipped or not: the ego's own measurement must not wait for who transmits.
        if state.time_s != self._measured_s:
            if state.time_s < self._measured_s:
                raise UsageError(f"a state of {state.time_s:g} s came after one of {self._measured_s:g} s; use a new Radio per episode")
            self._measured = self._sensors.measure(state.vehicles, state.time_s - self._measured_s)
            self._measured_s = state.time_s
        return self._measured

    def _choose_senders(self, vehicles: VehicleStates, equipped: Collection[str] | None) -> None:
        key = (vehicles.ids, None if equipped is None else frozenset(equipped))
        if key == self._roster_key:
            return
        chosen = vehicles.ids if key[1] is None else key[1]
        senders = [
            (vehicle_id, column) for column, vehicle_id in enumerate(vehicles.ids) if vehicle_id in chosen and vehicle_id != self._ego_id
        ]
        self._roster_key = key
        self._sender_ids = tuple([sender_id for sender_id, _ in senders])
        self._sender_columns = np.array([column for _, column in senders], dtype=np.intp)
        self._sender_rows = self._table.rows(self._sender_ids)

    def _broadcast(self, state: SimulatorState, measured: FloatArray, ego_column: int) -> None:
        x_m, y_m = state.vehicles.x_m, state.vehicles.y_m
        columns = self._sender_columns
        distance_m = np.hypot(x_m[columns] - x_m[ego_column], y_m[columns] - y_m[ego_column])
        messages = np.empty((MESSAGE_ROWS, len(columns)))
        messages[:MEASUREMENT_ROWS] = measured[:, columns]
        messages[MEASUREMENT_ROWS] = state.time_s
        arrival_s = self._links.transmit(self._sender_ids, distance_m, state.time_s)
        self._queue.send(Packets(arrival_s=arrival_s, rows=self._sender_rows, messages=messages))
