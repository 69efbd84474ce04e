"""Vehicle and simulator snapshots: never changed once they are made, SI units and radians.

They are made in every step, and dataclasses that are frozen take several times as long to make; so these are not.

Shape suffixes: N vehicles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(slots=True, kw_only=True)
class VehicleStates:
    """N vehicles at one instant, as a struct of arrays; row i of every array belongs to `ids[i]`.

    Positions are those of the *front* bumper's centre. `heading_rad` is counter-clockwise from east, in (-pi, pi].
    `lane_position_m` is the distance of the front bumper from the start of `lane_ids[i]`.
    """

    ids: tuple[str, ...]
    lane_ids: tuple[str, ...]
    x_m: FloatArray
    y_m: FloatArray
    speed_mps: FloatArray
    accel_mps2: FloatArray
    heading_rad: FloatArray
    lane_position_m: FloatArray
    length_m: FloatArray
    index: Mapping[str, int] = field(repr=False)  # vehicle id -> row

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collision:
    """A contact as SUMO reports it; the collider is the vehicle that ran into the victim."""

    collider_id: str
    victim_id: str
    kind: str
    collider_speed_mps: float
    victim_speed_mps: float


@dataclass(slots=True, kw_only=True)
class SimulatorState:
    """What the simulator says after a step: the watched vehicles and what happened in that step."""

    time_s: float
    vehicles: VehicleStates
    collisions: tuple[Collision, ...] = ()
    departed_ids: tuple[str, ...] = ()
    arrived_ids: tuple[str, ...] = ()


class SpeedCommand(NamedTuple):
    """What one vehicle is told before a step.

    `speed_mps` is reached within that step exactly, whatever the vehicle type's `decel` says and whoever stands in front.
    `None` hands the vehicle back to its driver (SUMO's car-following).
    """

    vehicle_id: str
    speed_mps: float | None
