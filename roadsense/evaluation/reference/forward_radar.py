"""An ideal forward radar: everything that a line of sight can give, and nothing more.

It sees the car directly ahead on the ego's path if the centre of that car's *rear* bumper lies within 60 m of the ego's front bumper and
within 20 degrees of the ego's heading, and if the straight line between them crosses no other car's body (a rectangle of the car's length
and 1.8 m width). Range and speed are free of noise and delay, the car is never mistaken for another one, and no building stands in the way:
a real radar sees less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from roadsense.state import FloatArray, VehicleStates

RANGE_M: Final = 60.0
HALF_ANGLE_RAD: Final = math.radians(20.0)
CAR_WIDTH_M: Final = 1.8

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """The car ahead as the radar measures it in one step."""

    range_m: float  # straight line from the ego's front bumper to the rear bumper
    closing_speed_mps: float  # own speed minus the other's; negative when it draws away


def look(vehicles: VehicleStates, ego_id: str, leader_id: str) -> Echo | None:
    """The radar's echo of the leader; None when either is not on the road or the leader cannot be seen."""
    ego, leader = vehicles.index.get(ego_id), vehicles.index.get(leader_id)
    if ego is None or leader is None:
        return None
    front = (float(vehicles.x_m[ego]), float(vehicles.y_m[ego]))
    rear = rear_bumper(vehicles, leader)
    east_m, north_m = rear[0] - front[0], rear[1] - front[1]
    range_m = math.hypot(east_m, north_m)
    if range_m > RANGE_M or not _within_field(east_m, north_m, float(vehicles.heading_rad[ego])):
        return None
    hides = crosses_body(vehicles, front, rear)
    hides[[ego, leader]] = False
    if hides.any():
        return None
    return Echo(range_m=range_m, closing_speed_mps=float(vehicles.speed_mps[ego] - vehicles.speed_mps[leader]))


def rear_bumper(vehicles: VehicleStates, row: int) -> Point:
    """Centre of a car's rear bumper: its length behind its front bumper, against its heading."""
    heading_rad, length_m = float(vehicles.heading_rad[row]), float(vehicles.length_m[row])
    return float(vehicles.x_m[row]) - length_m * math.cos(heading_rad), float(vehicles.y_m[row]) - length_m * math.sin(heading_rad)


def crosses_body(vehicles: VehicleStates, start: Point, end: Point) -> NDArray[np.bool_]:
    """Whether the segment from `start` to `end` touches the body of each of N cars: bool (N,).

    Every body is clipped as an axis-parallel box in its own frame (Liang and Barsky, 1984): along the heading from -length to 0, across it
    half a width to either side.
    """
    along_0, across_0 = _in_body_frame(vehicles, start)
    along_1, across_1 = _in_body_frame(vehicles, end)
    enter_along, leave_along = _inside_slab(along_0, along_1, -vehicles.length_m, np.zeros(len(vehicles)))
    half_width_m = np.full(len(vehicles), CAR_WIDTH_M / 2)
    enter_across, leave_across = _inside_slab(across_0, across_1, -half_width_m, half_width_m)
    enter = np.maximum(np.maximum(enter_along, enter_across), 0.0)
    leave = np.minimum(np.minimum(leave_along, leave_across), 1.0)
    crosses: NDArray[np.bool_] = enter <= leave
    return crosses


def _within_field(east_m: float, north_m: float, heading_rad: float) -> bool:
    forward_m = east_m * math.cos(heading_rad) + north_m * math.sin(heading_rad)
    left_m = north_m * math.cos(heading_rad) - east_m * math.sin(heading_rad)
    return abs(math.atan2(left_m, forward_m)) <= HALF_ANGLE_RAD


def _in_body_frame(vehicles: VehicleStates, point: Point) -> tuple[FloatArray, FloatArray]:
    """The point in the frame of each car: metres ahead of its front bumper and to the left of its centre line, (N,) each."""
    east_m, north_m = point[0] - vehicles.x_m, point[1] - vehicles.y_m
    cos, sin = np.cos(vehicles.heading_rad), np.sin(vehicles.heading_rad)
    return east_m * cos + north_m * sin, north_m * cos - east_m * sin


def _inside_slab(start_m: FloatArray, end_m: FloatArray, low_m: FloatArray, high_m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The shares of the way from start to end at which it enters and leaves [low, high]; enter > leave when it never is inside."""
    way_m = end_m - start_m
    parallel = np.abs(way_m) < 1e-9
    divisor = np.where(parallel, 1.0, way_m)
    to_low, to_high = (low_m - start_m) / divisor, (high_m - start_m) / divisor
    always = parallel & (start_m >= low_m) & (start_m <= high_m)
    enter = np.where(parallel, np.where(always, -np.inf, np.inf), np.minimum(to_low, to_high))
    leave = np.where(parallel, np.where(always, np.inf, -np.inf), np.maximum(to_low, to_high))
    return enter, leave
