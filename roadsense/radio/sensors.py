"""What cars measure of themselves: truth plus normal noise, drawn once per car and step."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roadsense.compiled import compiled
from roadsense.radio.angles import wrapped
from roadsense.radio.arrays import carry_over
from roadsense.radio.draws import CarKeys, Draws, mix, standard_normals
from roadsense.radio.message import ACCEL_MPS2, HEADING_RAD, MEASUREMENT_ROWS, SPEED_MPS, X_M, Y_M
from roadsense.radio.parameters import SensorNoise
from roadsense.state import FloatArray, VehicleStates

_GPS_ROWS = Y_M + 1  # east and north, the first two
_QUANTITIES = np.arange(MEASUREMENT_ROWS, dtype=np.uint64)[:, None]  # tells the streams of one car's sensors apart


class Sensors:
    """The sensors of all cars of an episode; remembers nothing but the GPS error."""

    def __init__(self, noise: SensorNoise, keys: CarKeys) -> None:
        self._std = np.array([noise.gps_m, noise.gps_m, noise.speed_mps, noise.accel_mps2, noise.heading_rad])
        self._correlation_s = noise.gps_correlation_s
        self._keys = keys
        self._draws = Draws(standard_normals)
        self._steps = 0
        self._ids: tuple[str, ...] = ()
        self._gps_error: FloatArray = np.empty((_GPS_ROWS, 0))
        self._is_new: NDArray[np.bool_] = np.empty(0, dtype=np.bool_)
        self._nobody_new = self._is_new
        self._draws.rekey(np.empty((MEASUREMENT_ROWS, 0), dtype=np.uint64))

    def measure(self, vehicles: VehicleStates, elapsed_s: float) -> FloatArray:
        """What each vehicle measures now: array (5, N); `elapsed_s` is the time since the last call (any value in the first)."""
        if vehicles.ids != self._ids:
            self._arrange(vehicles.ids)
        normals = self._draws.at(self._steps)
        self._steps += 1
        memory = math.exp(-elapsed_s / self._correlation_s) if self._correlation_s > 0 else 0.0
        measured, self._gps_error = _measured(
            vehicles.x_m,
            vehicles.y_m,
            vehicles.speed_mps,
            vehicles.accel_mps2,
            vehicles.heading_rad,
            normals,
            self._std,
            self._gps_error,
            self._is_new,
            memory,
            math.sqrt(1.0 - memory * memory),
        )
        self._is_new = self._nobody_new
        return measured

    def _arrange(self, ids: tuple[str, ...]) -> None:
        column_before = {vehicle_id: column for column, vehicle_id in enumerate(self._ids)}
        origin = np.array([column_before.get(vehicle_id, -1) for vehicle_id in ids], dtype=np.intp)
        self._is_new = origin < 0
        self._nobody_new = np.zeros(len(ids), dtype=np.bool_)
        self._gps_error = carry_over(self._gps_error, 1, origin, fill=0.0)
        self._ids = ids
        self._draws.rekey(mix(self._keys.of(ids)[0] + _QUANTITIES))


@compiled
def _measured(
    x_m: FloatArray,
    y_m: FloatArray,
    speed_mps: FloatArray,
    accel_mps2: FloatArray,
    heading_rad: FloatArray,
    normals: FloatArray,
    std: FloatArray,
    gps_error: FloatArray,
    is_new: NDArray[np.bool_],
    memory: float,
    news: float,
) -> tuple[FloatArray, FloatArray]:
    """Truth (N,) of each quantity plus errors times standard deviations (5,): measurements (5, N), and the GPS errors (2, N) of this step.

    GPS errors are a first-order autoregressive process of unit variance, `memory` times the last error plus `news` times white noise. With
    memory = exp(-dt / correlation time) and news = sqrt(1 - memory^2) it is the exact discretisation of an Ornstein-Uhlenbeck process; a
    car that was not there a step ago starts in its stationary distribution. A speedometer shows no negative speed, so speed is cut at 0.
    """
    cars = len(x_m)
    measured, errors = np.empty((MEASUREMENT_ROWS, cars)), np.empty((_GPS_ROWS, cars))
    for car in range(cars):
        for row in range(_GPS_ROWS):
            white = normals[row, car]
            errors[row, car] = white if is_new[car] else memory * gps_error[row, car] + news * white
        measured[X_M, car] = x_m[car] + std[X_M] * errors[X_M, car]
        measured[Y_M, car] = y_m[car] + std[Y_M] * errors[Y_M, car]
        measured[SPEED_MPS, car] = max(speed_mps[car] + std[SPEED_MPS] * normals[SPEED_MPS, car], 0.0)
        measured[ACCEL_MPS2, car] = accel_mps2[car] + std[ACCEL_MPS2] * normals[ACCEL_MPS2, car]
        measured[HEADING_RAD, car] = wrapped(heading_rad[car] + std[HEADING_RAD] * normals[HEADING_RAD, car])
    return measured, errors
