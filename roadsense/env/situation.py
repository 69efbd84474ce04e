"""The true situation around the ego: gaps along the route, closing speeds, contacts. Truth comes from geometry, not from sensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from roadsense.config import STEP_LENGTH_S
from roadsense.state import SimulatorState, VehicleStates


class LaneOffsets(Protocol):
    """Where the lanes ahead begin, in metres from the start of the given lane (`roadsense.scenario.route_geometry.LanePaths`)."""

    def start_offsets(self, lane_id: str, route_edges: tuple[str, ...]) -> Mapping[str, float]:
        """Lane id -> offset of its start."""
        ...

    def speed_limit_mps(self, lane_id: str) -> float:
        """The speed limit on a lane."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
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
        return max(0.0, self.gap_m) / self.closing_speed_mps if self.closing_speed_mps > 0 else math.inf

    @property
    def required_decel_mps2(self) -> float:
        """Constant deceleration that just avoids contact with a leader that keeps its speed: closing speed squared over twice the gap."""
        return self.closing_speed_mps**2 / (2 * max(self.gap_m, 0.1)) if self.closing_speed_mps > 0 else 0.0


def assess(
    state: SimulatorState, previous: SimulatorState, ego_id: str, lanes: LaneOffsets, route_edges: tuple[str, ...]
) -> Situation | None:
    """The situation in `state`, one step after `previous`; None when the ego is not on the road."""
    vehicles, before = state.vehicles, previous.vehicles
    ego = vehicles.index.get(ego_id)
    if ego is None:
        return None
    leader, gap_m = _leader(vehicles, ego, lanes, route_edges)
    speed_mps = float(vehicles.speed_mps[ego])
    was = before.index.get(ego_id, -1)
    speed_before_mps = float(before.speed_mps[was]) if was >= 0 else speed_mps
    return Situation(
        speed_mps=speed_mps,
        speed_limit_mps=lanes.speed_limit_mps(vehicles.lane_ids[ego]),
        accel_mps2=(speed_mps - speed_before_mps) / STEP_LENGTH_S if state is not previous else float(vehicles.accel_mps2[ego]),
        leader_id=None if leader is None else vehicles.ids[leader],
        gap_m=gap_m,
        leader_speed_mps=float(vehicles.speed_mps[leader]) if leader is not None else 0.0,
    )


def _leader(vehicles: VehicleStates, ego: int, lanes: LaneOffsets, route_edges: tuple[str, ...]) -> tuple[int | None, float]:
    """Row of the car with the nearest rear bumper, and the gap to it."""
    best: int | None = None
    best_gap_m = math.inf
    for front_m, row in fronts_ahead(vehicles, ego, lanes, route_edges):
        gap_m = front_m - float(vehicles.length_m[row])
        if gap_m < best_gap_m:
            best, best_gap_m = row, gap_m
    return best, best_gap_m


def fronts_ahead(vehicles: VehicleStates, ego: int, lanes: LaneOffsets, route_edges: tuple[str, ...]) -> list[tuple[float, int]]:
    """(distance from the ego's front bumper to the other's front bumper, row) of all cars ahead on the ego's path, in no order."""
    starts_m = lanes.start_offsets(vehicles.lane_ids[ego], route_edges)
    own_m = float(vehicles.lane_position_m[ego])
    ahead = []
    for row, lane_id in enumerate(vehicles.lane_ids):
        start_m = starts_m.get(lane_id)
        if start_m is None or row == ego:
            continue
        distance_m = start_m + float(vehicles.lane_position_m[row]) - own_m
        if distance_m > 0:
            ahead.append((distance_m, row))
    return ahead
