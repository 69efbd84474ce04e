"""What cars measure of themselves: truth plus normal noise, drawn once per car and step."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roadsense.radio.angles import wrap_angle
from roadsense.radio.arrays import carry_over
from roadsense.radio.draws import CarKeys, Draws, mix, standard_normals
from roadsense.radio.message import HEADING_RAD, MEASUREMENT_ROWS, SPEED_MPS, Y_M
from roadsense.radio.parameters import SensorNoise
from roadsense.state import FloatArray, VehicleStates

_GPS_ROWS = Y_M + 1  # east and north, the first two
_QUANTITIES = np.arange(MEASUREMENT_ROWS, dtype=np.uint64)[:, None]  # tells the streams of one car's sensors apart


def truth_matrix(vehicles: VehicleStates) -> FloatArray:
    """What a perfect sensor would measure: array (5, N), a column per vehicle."""
    return np.array((vehicles.x_m, vehicles.y_m, vehicles.speed_mps, vehicles.accel_mps2, vehicles.heading_rad), dtype=np.float64)


def with_noise(truth: FloatArray, errors: FloatArray, std: FloatArray) -> FloatArray:
    """Truth (5, N) plus errors (5, N) of unit variance times standard deviations (5, 1).

    A speedometer shows no negative speed, so speed is cut at 0; the heading stays in (-pi, pi].
    """
    measured = truth + std * errors
    np.maximum(measured[SPEED_MPS], 0.0, out=measured[SPEED_MPS])
    measured[HEADING_RAD] = wrap_angle(measured[HEADING_RAD])
    return measured


def correlated_errors(previous: FloatArray, normals: FloatArray, memory: float) -> FloatArray:
    """One step of a first-order autoregressive process of unit variance: the next errors from the previous ones and white noise.

    With `memory` = exp(-dt / correlation time) this is the exact discretisation of an Ornstein-Uhlenbeck process.
    """
    return memory * previous + math.sqrt(1.0 - memory * memory) * normals


class Sensors:
    """The sensors of all cars of an episode; remembers nothing but the GPS error."""

    def __init__(self, noise: SensorNoise, keys: CarKeys) -> None:
        self._std = np.array([[noise.gps_m], [noise.gps_m], [noise.speed_mps], [noise.accel_mps2], [noise.heading_rad]])
        self._correlation_s = noise.gps_correlation_s
        self._keys = keys
        self._draws = Draws(standard_normals)
        self._steps = 0
        self._ids: tuple[str, ...] = ()
        self._gps_error: FloatArray = np.empty((_GPS_ROWS, 0))
        self._is_new: NDArray[np.bool_] = np.empty(0, dtype=np.bool_)
        self._has_new = False
        self._draws.rekey(np.empty((MEASUREMENT_ROWS, 0), dtype=np.uint64))

    def measure(self, vehicles: VehicleStates, elapsed_s: float) -> FloatArray:
        """What each vehicle measures now: array (5, N); `elapsed_s` is the time since the last call (any value in the first)."""
        if vehicles.ids != self._ids:
            self._arrange(vehicles.ids)
        errors = self._draws.at(self._steps)
        self._steps += 1
        if self._correlation_s > 0:
            errors = self._correlate(errors, math.exp(-elapsed_s / self._correlation_s))
        return with_noise(truth_matrix(vehicles), errors, self._std)

    def _correlate(self, normals: FloatArray, memory: float) -> FloatArray:
        gps = correlated_errors(self._gps_error, normals[:_GPS_ROWS], memory)
        if self._has_new:
            # A car that was not there a step ago starts in the stationary distribution.
            gps = np.where(self._is_new, normals[:_GPS_ROWS], gps)
            self._has_new = False
        self._gps_error = gps
        errors = normals.copy()
        errors[:_GPS_ROWS] = gps
        return errors

    def _arrange(self, ids: tuple[str, ...]) -> None:
        column_before = {vehicle_id: column for column, vehicle_id in enumerate(self._ids)}
        origin = np.array([column_before.get(vehicle_id, -1) for vehicle_id in ids], dtype=np.intp)
        self._is_new = origin < 0
        self._has_new = bool(self._is_new.any())
        self._gps_error = carry_over(self._gps_error, 1, origin, fill=0.0)
        self._ids = ids
        self._draws.rekey(mix(self._keys.of(ids)[0] + _QUANTITIES))
