"""What `traci` connections and the `libsumo` module share: the same calls, the same dictionaries."""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Final

from traci import constants as tc

from roadsense.errors import SumoError
from roadsense.state import SimulatorState
from roadsense.sumo.backend import SpeedWrite
from roadsense.sumo.snapshot import VEHICLE_VARIABLES, collisions, vehicle_states

NO_LANE_CHANGES: Final = 0
_VIEW: Final = "View #0"  # sumo-gui's first one
_ZOOM_PERCENT: Final = 100.0  # shows the whole network
_SHOWN_M: Final = 200.0  # of road around a vehicle that is followed


class ApiBackend(ABC):
    """A `Backend` over SUMO's Python API.

    Args:
        api: a `traci` connection or the `libsumo` module.
        faults: the exceptions by which the API says that a call failed.
        simulation_variables: what is asked of the simulation with every step, beside time, departures and arrivals.
    """

    def __init__(self, api: Any, faults: tuple[type[Exception], ...], simulation_variables: tuple[int, ...] = ()) -> None:
        self._api = api
        self._faults = faults
        self._simulation_variables = (tc.VAR_TIME, tc.VAR_DEPARTED_VEHICLES_IDS, tc.VAR_ARRIVED_VEHICLES_IDS, *simulation_variables)
        self._ego_id = ""
        self._radius_m = 0.0
        self._until_s = 0.0

    def load(self, options: Sequence[str]) -> None:
        """Replace the simulation by one with these options; subscriptions are lost."""
        with self._talking("loading a scenario"):
            self._api.load(list(options))

    def step_length_s(self) -> float:
        """The simulation's step length."""
        with self._talking("asking for the step length"):
            return float(self._api.simulation.getDeltaT())

    def watch_simulation(self) -> None:
        """Ask for time, departures, arrivals and collisions with every step."""
        self._ego_id = ""
        with self._talking("subscribing to the simulation"):
            self._api.simulation.subscribe(self._simulation_variables)

    def watch_vehicles(self, ego_id: str, radius_m: float) -> SimulatorState:
        """Ask for the vehicles around the ego with every step; the state as it is now."""
        with self._talking("subscribing to the vehicles around the ego"):
            self._api.vehicle.subscribeContext(ego_id, tc.CMD_GET_VEHICLE_VARIABLE, radius_m, VEHICLE_VARIABLES)
            self._ego_id, self._radius_m = ego_id, radius_m
            return self._state()

    def unwatch_vehicles(self) -> None:
        """Ask for no vehicles any more; nothing when none are watched."""
        if self._ego_id:
            with self._talking("ending the subscription to the vehicles around the ego"):
                self._api.vehicle.unsubscribeContext(self._ego_id, tc.CMD_GET_VEHICLE_VARIABLE, self._radius_m)
            self._ego_id = ""

    def vehicle_ids(self) -> tuple[str, ...]:
        """The vehicles on the road."""
        with self._talking("asking for the vehicles"):
            return tuple(self._api.vehicle.getIDList())

    def begin_step(self, writes: Sequence[SpeedWrite], until_s: float = 0.0) -> None:
        """First half: command the vehicles; these clients ask for the step itself in the second half."""
        self._until_s = until_s
        for write in writes:
            with self._talking(f"commanding vehicle {write.vehicle_id!r}"):
                if write.mode is not None:
                    self._api.vehicle.setSpeedMode(write.vehicle_id, write.mode)
                self._api.vehicle.setSpeed(write.vehicle_id, write.speed_mps)

    def await_step(self) -> None:  # noqa: B027 - there is nothing to wait for yet
        """Nothing: these clients wait in the second half."""

    def finish_step(self) -> SimulatorState:
        """Second half: step, and read what came back with it."""
        with self._talking("stepping"):
            self._api.simulationStep(self._until_s)
            return self._state()

    def route_edges(self, vehicle_id: str) -> tuple[str, ...]:
        """The edges of a vehicle's route."""
        with self._talking(f"asking for the route of vehicle {vehicle_id!r}"):
            return tuple(self._api.vehicle.getRoute(vehicle_id))

    def keep_lanes(self, vehicle_ids: Sequence[str]) -> None:
        """Forbid vehicles to change lanes on their own account."""
        for vehicle_id in vehicle_ids:
            with self._talking(f"setting the lane change mode of vehicle {vehicle_id!r}"):
                self._api.vehicle.setLaneChangeMode(vehicle_id, NO_LANE_CHANGES)

    def limit_emergency_decels(self, vehicle_ids: Sequence[str], limit_mps2: float) -> None:
        """Lower the emergency deceleration of vehicles to `limit_mps2` where it is higher."""
        for vehicle_id in vehicle_ids:
            with self._talking(f"limiting the braking of vehicle {vehicle_id!r}"):
                if self._api.vehicle.getEmergencyDecel(vehicle_id) > limit_mps2:
                    self._api.vehicle.setEmergencyDecel(vehicle_id, limit_mps2)

    def follow(self, vehicle_id: str) -> None:
        """With a window: keep a vehicle in its middle, near enough to see what it does."""
        with self._talking(f"following vehicle {vehicle_id!r} in the window"):
            self._api.gui.trackVehicle(_VIEW, vehicle_id)
            self._api.gui.setZoom(_VIEW, _ZOOM_PERCENT * self._network_width_m() / _SHOWN_M)

    def _network_width_m(self) -> float:
        (left, bottom), (right, top) = self._api.simulation.getNetBoundary()
        return float(max(right - left, top - bottom, _SHOWN_M))

    @abstractmethod
    def _collision_records(self, results: dict[int, Any]) -> Sequence[Any]:
        """SUMO's collision records after a step, whose subscription results are given."""

    @abstractmethod
    def _failure(self, doing: str, error: Exception, elapsed_s: float) -> SumoError:
        """What to raise when a call failed after `elapsed_s`."""

    @contextlib.contextmanager
    def _talking(self, doing: str) -> Iterator[None]:
        began_s = time.monotonic()
        try:
            yield
        except self._faults as error:
            raise self._failure(doing, error, time.monotonic() - began_s) from error

    def _state(self) -> SimulatorState:
        results = self._api.simulation.getSubscriptionResults()
        around = self._api.vehicle.getContextSubscriptionResults(self._ego_id) if self._ego_id else {}
        records = self._collision_records(results)
        return SimulatorState(
            time_s=results[tc.VAR_TIME],
            vehicles=vehicle_states(around),
            collisions=collisions(records) if records else (),
            departed_ids=tuple(results[tc.VAR_DEPARTED_VEHICLES_IDS]),
            arrived_ids=tuple(results[tc.VAR_ARRIVED_VEHICLES_IDS]),
        )
