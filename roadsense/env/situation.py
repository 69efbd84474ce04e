"""The true situation around the ego: gaps along the route, closing speeds, contacts. Truth comes from geometry, not from sensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from roadsense.compiled import compiled
from roadsense.config import STEP_LENGTH_S
from roadsense.state import FloatArray, SimulatorState, VehicleStates


class LaneOffsets(Protocol):
    """Where the lanes ahead begin, in metres from the start of the given lane (`roadsense.scenario.route_geometry.LanePaths`)."""

    def start_offsets(self, lane_id: str, route_edges: tuple[str, ...]) -> Mapping[str, float]:
        """Lane id -> offset of its start."""
        ...

    def speed_limit_mps(self, lane_id: str) -> float:
        """The speed limit on a lane."""
        ...


class Situation(NamedTuple):
    """The ego and the car ahead of it on its path. Without a car ahead `gap_m` is infinite and `leader_id` None.

    `gap_m` runs from the ego's front bumper to the leader's rear bumper along the lane; below 0 they overlap.
    """

    speed_mps: float
    speed_limit_mps: float  # of the lane the ego is on
    accel_mps2: float  # achieved in the last step: change of speed over the step length
    leader_id: str | None
    gap_m: float
    leader_speed_mps: float

    @property
    def closing_speed_mps(self) -> float:
        """How fast the gap shrinks; 0 when it does not."""
        return max(0.0, self.speed_mps - self.leader_speed_mps) if self.leader_id is not None else 0.0

    @property
    def time_to_collision_s(self) -> float:
        """Gap over closing speed; infinite when the gap does not shrink."""
        closing_mps = self.closing_speed_mps
        return max(0.0, self.gap_m) / closing_mps if closing_mps > 0 else math.inf

    @property
    def required_decel_mps2(self) -> float:
        """Constant deceleration that just avoids contact with a leader that keeps its speed: closing speed squared over twice the gap."""
        closing_mps = self.closing_speed_mps
        return closing_mps**2 / (2 * max(self.gap_m, 0.1)) if closing_mps > 0 else 0.0


class RouteAhead:
    """Where cars stand on the ego's route. What only changes when a car changes its lane is remembered.

    Args:
        lanes: where lanes begin.
        route_edges: the edges of the ego's route, in driving order.
        ego_id: the ego.
    """

    def __init__(self, lanes: LaneOffsets, route_edges: tuple[str, ...], ego_id: str) -> None:
        self.ego_id = ego_id
        self._lanes, self._route_edges = lanes, route_edges
        self._known: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._starts_m: FloatArray = np.empty(0)
        self._limit_mps = 0.0

    def starts_m(self, vehicles: VehicleStates) -> FloatArray:
        """Where each car's lane begins, from the start of the ego's lane: (N,), NaN off the route."""
        self._follow(vehicles)
        return self._starts_m

    def speed_limit_mps(self, vehicles: VehicleStates) -> float:
        """The limit of the lane that the ego is on."""
        self._follow(vehicles)
        return self._limit_mps

    def _follow(self, vehicles: VehicleStates) -> None:
        ids, lane_ids = self._known
        if vehicles.ids is ids and vehicles.lane_ids is lane_ids:
            return
        ego = vehicles.index[self.ego_id]
        offsets_m = self._lanes.start_offsets(vehicles.lane_ids[ego], self._route_edges)
        self._starts_m = np.array([offsets_m.get(lane_id, math.nan) for lane_id in vehicles.lane_ids])
        self._limit_mps = self._lanes.speed_limit_mps(vehicles.lane_ids[ego])
        self._known = (vehicles.ids, vehicles.lane_ids)


def assess(state: SimulatorState, previous: SimulatorState, route: RouteAhead) -> Situation | None:
    """The situation in `state`, one step after `previous`; None when the ego is not on the road."""
    vehicles, before = state.vehicles, previous.vehicles
    ego = vehicles.index.get(route.ego_id)
    if ego is None:
        return None
    leader, gap_m = _leader(route.starts_m(vehicles), vehicles.lane_position_m, vehicles.length_m, ego)
    speed_mps = float(vehicles.speed_mps[ego])
    was = before.index.get(route.ego_id, -1)
    speed_before_mps = float(before.speed_mps[was]) if was >= 0 else speed_mps
    return Situation(
        speed_mps=speed_mps,
        speed_limit_mps=route.speed_limit_mps(vehicles),
        accel_mps2=(speed_mps - speed_before_mps) / STEP_LENGTH_S if state is not previous else float(vehicles.accel_mps2[ego]),
        leader_id=None if leader < 0 else vehicles.ids[leader],
        gap_m=gap_m,
        leader_speed_mps=float(vehicles.speed_mps[leader]) if leader >= 0 else 0.0,
    )


@compiled
def _leader(starts_m: FloatArray, lane_position_m: FloatArray, length_m: FloatArray, ego: int) -> tuple[int, float]:
    """Row of the car ahead with the nearest rear bumper, and the gap to it; row -1 and infinity without one."""
    best, best_gap_m = -1, np.inf
    for row in range(len(starts_m)):
        front_m = starts_m[row] + lane_position_m[row] - lane_position_m[ego]
        if front_m > 0.0 and front_m - length_m[row] < best_gap_m:  # a comparison with NaN is false
            best, best_gap_m = row, front_m - length_m[row]
    return best, best_gap_m


def fronts_ahead(vehicles: VehicleStates, route: RouteAhead) -> list[tuple[float, int]]:
    """(distance from the ego's front bumper to the other's front bumper, row) of all cars ahead on the ego's route, nearest first."""
    distances_m = route.starts_m(vehicles) + vehicles.lane_position_m - vehicles.lane_position_m[vehicles.index[route.ego_id]]
    return sorted((distance_m, row) for row, distance_m in enumerate(distances_m.tolist()) if distance_m > 0.0)
