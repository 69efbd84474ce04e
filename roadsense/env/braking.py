"""How scripted cars brake: to an end speed, or because they have hit each other."""

from __future__ import annotations

import math

from roadsense.config import STEP_LENGTH_S
from roadsense.env.traffic import Traffic


class Braking:
    """A car brakes to a share of its speed, keeps that speed, and is handed back to its driver.

    It is handed back at `release_s` or `hold_s` after the end speed was reached, whichever comes first.
    """

    def __init__(self, *, decel_mps2: float, end_speed_fraction: float, release_s: float = math.inf, hold_s: float = math.inf) -> None:
        self._decel_mps2 = decel_mps2
        self._end_speed_fraction = end_speed_fraction
        self._release_s, self._hold_s = release_s, hold_s
        self._end_speed_mps: float | None = None
        self._released = False

    def commands(self, vehicle_id: str, time_s: float, traffic: Traffic) -> dict[str, float | None]:
        """The car's next speed; nothing once it was handed back or has left the road."""
        speed_mps = traffic.speed_mps(vehicle_id)
        if self._released or speed_mps is None:
            return {}
        if self._end_speed_mps is None:
            self._end_speed_mps = self._end_speed_fraction * speed_mps
        if speed_mps <= self._end_speed_mps:
            self._release_s = min(self._release_s, time_s + self._hold_s)
        if time_s >= self._release_s:
            self._released = True
            return {vehicle_id: None}
        return {vehicle_id: max(self._end_speed_mps, speed_mps - self._decel_mps2 * STEP_LENGTH_S)}


class Wrecks:
    """Cars that have hit each other: both go on with their mean speed and come to a standstill by hard braking.

    SUMO lets the one drive through the other; here nobody does.
    """

    def __init__(self, decel_mps2: float) -> None:
        self._decel_mps2 = decel_mps2
        self._wrecked: set[str] = set()

    def __contains__(self, vehicle_id: str) -> bool:
        return vehicle_id in self._wrecked

    def commands(self, traffic: Traffic) -> dict[str, float | None]:
        """The next speeds of all wrecks, those that touch for the first time included."""
        speeds_mps = {vehicle_id: speed for vehicle_id in self._wrecked if (speed := traffic.speed_mps(vehicle_id)) is not None}
        commands: dict[str, float | None] = {
            vehicle_id: max(0.0, speed_mps - self._decel_mps2 * STEP_LENGTH_S) for vehicle_id, speed_mps in speeds_mps.items()
        }
        for behind, ahead in traffic.touching():
            behind_mps, ahead_mps = traffic.speed_mps(behind), traffic.speed_mps(ahead)
            if behind_mps is None or ahead_mps is None or (behind in self._wrecked and ahead in self._wrecked):
                continue
            self._wrecked.update((behind, ahead))
            commands[behind] = commands[ahead] = (behind_mps + ahead_mps) / 2
        return commands
