"""What cars measure of themselves: truth plus normal noise, drawn once per car and step."""

from __future__ import annotations

import math

import numpy as np

from roadsense.radio.arrays import carry_over
from roadsense.radio.draws import CarKeys, Draws, mix, standard_normals
from roadsense.radio.loops import GPS_ROWS, measure
from roadsense.radio.message import MEASUREMENT_ROWS
from roadsense.radio.parameters import SensorNoise
from roadsense.state import FloatArray, VehicleStates

_QUANTITIES = np.arange(MEASUREMENT_ROWS, dtype=np.uint64)[:, None]  # tells the streams of one car's sensors apart


class Sensors:
    """The sensors of all cars of an episode; remembers nothing but the GPS errors."""

    def __init__(self, noise: SensorNoise, keys: CarKeys) -> None:
        self._std = np.array([noise.gps_m, noise.gps_m, noise.speed_mps, noise.accel_mps2, noise.heading_rad])
        self._correlation_s = noise.gps_correlation_s
        self._gps_weights = (math.sqrt(1.0 - noise.gps_common_share), math.sqrt(noise.gps_common_share))
        self._keys = keys
        self._draws = Draws(standard_normals, dimensions=2)
        self._steps = 0
        self._ids: tuple[str, ...] = ()
        self._shape = (MEASUREMENT_ROWS, 0)
        self._gps_error: FloatArray = np.full((GPS_ROWS, 1), np.nan)  # of each car, and the shared one

    def measure(self, vehicles: VehicleStates, elapsed_s: float) -> FloatArray:
        """What each vehicle measures now: array (5, N); `elapsed_s` is the time since the last call (any value in the first)."""
        if vehicles.ids is not self._ids and vehicles.ids != self._ids:
            self._arrange(vehicles.ids)
        row = self._draws.row(self._steps)
        self._steps += 1
        memory = math.exp(-elapsed_s / self._correlation_s) if self._correlation_s > 0 else 0.0
        measured = np.empty(self._shape)
        measure(
            vehicles.x_m,
            vehicles.y_m,
            vehicles.speed_mps,
            vehicles.accel_mps2,
            vehicles.heading_rad,
            self._draws.block,
            row,
            self._std,
            memory,
            self._gps_weights,
            self._gps_error,
            measured,
        )
        return measured

    def _arrange(self, ids: tuple[str, ...]) -> None:
        column_before = {vehicle_id: column for column, vehicle_id in enumerate(self._ids)}
        origin = np.array([*(column_before.get(vehicle_id, -1) for vehicle_id in ids), len(self._ids)], dtype=np.intp)
        self._gps_error = carry_over(self._gps_error, 1, origin, fill=np.nan)  # NaN: begins with the next step
        self._ids = ids
        self._shape = (MEASUREMENT_ROWS, len(ids))
        keys = np.append(self._keys.of(ids)[0], self._keys.shared_sensor)
        self._draws.rekey(mix(keys + _QUANTITIES))
