"""The true situation around the ego: gaps along the route, closing speeds, contacts. Truth comes from geometry, not from sensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from roadsense.compiled import compiled
from roadsense.state import FloatArray, VehicleStates


class LaneOffsets(Protocol):
    """Where the lanes ahead begin, in metres from the start of the given lane (`roadsense.scenario.route_geometry.LanePaths`)."""

    def start_offsets(self, lane_id: str, route_edges: tuple[str, ...]) -> Mapping[str, float]:
        """Lane id -> offset of its start."""
        ...

    def speed_limit_mps(self, lane_id: str) -> float:
        """The speed limit on a lane."""
        ...


@compiled
def closing_speed_mps(speed_mps: float, leader_speed_mps: float) -> float:
    """How fast the gap to a leader shrinks; 0 when it does not."""
    return max(0.0, speed_mps - leader_speed_mps)


@compiled
def time_to_collision_s(gap_m: float, closing_mps: float) -> float:
    """Gap over closing speed; infinite when the gap does not shrink."""
    return max(0.0, gap_m) / closing_mps if closing_mps > 0.0 else np.inf


@compiled
def required_decel_mps2(gap_m: float, closing_mps: float) -> float:
    """See `Situation.required_decel_mps2`."""
    return closing_mps * closing_mps / (2.0 * max(gap_m, 0.1)) if closing_mps > 0.0 else 0.0


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
        return closing_speed_mps(self.speed_mps, self.leader_speed_mps) if self.leader_id is not None else 0.0

    @property
    def time_to_collision_s(self) -> float:
        """Gap over closing speed; infinite when the gap does not shrink."""
        return time_to_collision_s(self.gap_m, self.closing_speed_mps)

    @property
    def required_decel_mps2(self) -> float:
        """Constant deceleration that just avoids contact with a leader that keeps its speed: closing speed squared over twice the gap."""
        return required_decel_mps2(self.gap_m, self.closing_speed_mps)


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
        ids, lane_ids = self._known
        if vehicles.lane_ids is not lane_ids or vehicles.ids is not ids:
            self._follow(vehicles)
        return self._starts_m

    @property
    def known_starts_m(self) -> FloatArray:
        """What `starts_m` returned last."""
        return self._starts_m

    @property
    def limit_mps(self) -> float:
        """Speed limit of the lane that the ego is on, as of the last call of `starts_m`."""
        return self._limit_mps

    def _follow(self, vehicles: VehicleStates) -> None:
        ego = vehicles.index[self.ego_id]
        offsets_m = self._lanes.start_offsets(vehicles.lane_ids[ego], self._route_edges)
        self._starts_m = np.array([offsets_m.get(lane_id, math.nan) for lane_id in vehicles.lane_ids])
        self._limit_mps = self._lanes.speed_limit_mps(vehicles.lane_ids[ego])
        self._known = (vehicles.ids, vehicles.lane_ids)


@compiled
def find_leader(starts_m: FloatArray, lane_position_m: FloatArray, length_m: FloatArray, ego: int) -> tuple[int, float]:
    """Row of the car ahead with the nearest rear bumper, and the gap to it; row -1 and infinity without one. Arrays are (N,)."""
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
