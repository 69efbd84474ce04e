"""From subscription results to states: SUMO's degrees become radians here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from traci import constants as tc

from roadsense.compiled import compiled
from roadsense.state import Collision, VehicleStates

VEHICLE_VARIABLES: Final = (
    tc.VAR_POSITION,
    tc.VAR_SPEED,
    tc.VAR_ANGLE,
    tc.VAR_ACCELERATION,
    tc.VAR_LANE_ID,
    tc.VAR_LANEPOSITION,
    tc.VAR_LENGTH,
)

HEADING_ROW: Final = 4  # of the columns that `states_from_columns` takes
_RAD_PER_DEG: Final = np.pi / 180.0


def vehicle_states(results: Mapping[str, Mapping[int, Any]]) -> VehicleStates:
    """N vehicles from a context subscription over `VEHICLE_VARIABLES`; vehicles that are not on a lane are left out."""
    # A vehicle that is being teleported has no lane, and a position that means nothing.
    on_lanes = {vehicle_id: row for vehicle_id, row in results.items() if row[tc.VAR_LANE_ID]}
    ids = tuple(sorted(on_lanes))  # SUMO's own order changes from process to process
    rows = [
        (
            *row[tc.VAR_POSITION],
            row[tc.VAR_SPEED],
            row[tc.VAR_ACCELERATION],
            row[tc.VAR_ANGLE],
            row[tc.VAR_LANEPOSITION],
            row[tc.VAR_LENGTH],
        )
        for row in map(on_lanes.__getitem__, ids)
    ]
    columns_7N = np.ascontiguousarray(np.array(rows, dtype=np.float64).reshape(-1, 7).T)
    columns_7N[HEADING_ROW] = heading_from_sumo(columns_7N[HEADING_ROW])
    lane_ids = tuple(on_lanes[vehicle_id][tc.VAR_LANE_ID] for vehicle_id in ids)
    return states_from_columns(ids, lane_ids, {vehicle_id: row for row, vehicle_id in enumerate(ids)}, columns_7N)


def states_from_columns(
    ids: tuple[str, ...], lane_ids: tuple[str, ...], index: Mapping[str, int], columns_7N: NDArray[np.float64]
) -> VehicleStates:
    """N vehicles, sorted by id, from x, y, speed, acceleration, heading in radians, position on the lane and length, one row each."""
    x_m, y_m, speed_mps, accel_mps2, heading_rad, lane_position_m, length_m = columns_7N
    return VehicleStates(
        ids=ids,
        lane_ids=lane_ids,
        x_m=x_m,
        y_m=y_m,
        speed_mps=speed_mps,
        accel_mps2=accel_mps2,
        heading_rad=heading_rad,
        lane_position_m=lane_position_m,
        length_m=length_m,
        index=index,
    )


@compiled
def heading_of_angle(angle_deg: float) -> float:
    """One of SUMO's angles as a heading, see `heading_from_sumo`."""
    heading_deg = 90.0 - angle_deg
    return (heading_deg + 360.0 if heading_deg <= -180.0 else heading_deg) * _RAD_PER_DEG


@compiled
def heading_from_sumo(angle_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """SUMO's angles (N,) (degrees clockwise from north, [0, 360]) as headings (radians counter-clockwise from east, (-pi, pi])."""
    heading_rad = np.empty(len(angle_deg))
    for row in range(len(angle_deg)):
        heading_rad[row] = heading_of_angle(angle_deg[row])
    return heading_rad


def collisions(records: Iterable[Any]) -> tuple[Collision, ...]:
    """SUMO's collision records, which look alike in `traci` and `libsumo`."""
    return tuple(
        Collision(
            collider_id=record.collider,
            victim_id=record.victim,
            kind=record.type,
            collider_speed_mps=record.colliderSpeed,
            victim_speed_mps=record.victimSpeed,
        )
        for record in records
    )
