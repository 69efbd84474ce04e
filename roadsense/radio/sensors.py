"""What cars measure of themselves: truth plus normal noise, drawn once per car and step."""

from __future__ import annotations

import math

import numpy as np

from roadsense.radio.angles import wrap_angle
from roadsense.radio.draws import VehicleDraws
from roadsense.radio.message import HEADING_RAD, MEASUREMENT_ROWS, SPEED_MPS, X_M, Y_M
from roadsense.radio.parameters import SensorNoise
from roadsense.state import FloatArray, VehicleStates


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
    """The sensors of all cars of an episode; remembers nothing but the correlated part of the GPS error."""

    def __init__(self, noise: SensorNoise, root_seed: int) -> None:
        self._std = np.array([[noise.gps_m], [noise.gps_m], [noise.speed_mps], [noise.accel_mps2], [noise.heading_rad]])
        self._correlation_s = noise.gps_correlation_s
        self._draws = VehicleDraws(
            root_seed, "sensors", MEASUREMENT_ROWS, lambda rng, steps: rng.standard_normal((steps, MEASUREMENT_ROWS))
        )
        self._ids: tuple[str, ...] = ()
        self._gps_error: FloatArray = np.empty((2, 0))
        self._is_new = np.empty(0, dtype=np.bool_)

    def measure(self, vehicles: VehicleStates, elapsed_s: float) -> FloatArray:
        """What each vehicle measures now: array (5, N); `elapsed_s` is the time since the last call (any value in the first)."""
        if vehicles.ids != self._ids:
            self._arrange(vehicles.ids)
        errors = self._draws.advance()
        if self._correlation_s > 0:
            errors = self._correlate(errors, math.exp(-elapsed_s / self._correlation_s))
        return with_noise(truth_matrix(vehicles), errors, self._std)

    def _correlate(self, normals: FloatArray, memory: float) -> FloatArray:
        gps = normals[X_M : Y_M + 1]
        # A car that was not there a step ago starts in the stationary distribution.
        self._gps_error = np.where(self._is_new, gps, correlated_errors(self._gps_error, gps, memory))
        self._is_new = np.zeros_like(self._is_new)
        return np.concatenate((self._gps_error, normals[Y_M + 1 :]))

    def _arrange(self, ids: tuple[str, ...]) -> None:
        column_before = {vehicle_id: column for column, vehicle_id in enumerate(self._ids)}
        source = np.array([column_before.get(vehicle_id, -1) for vehicle_id in ids], dtype=np.intp)
        self._is_new = source < 0
        gps_error = np.zeros((2, len(ids)))
        gps_error[:, ~self._is_new] = self._gps_error[:, source[~self._is_new]]
        self._gps_error = gps_error
        self._ids = ids
        self._draws.arrange(ids)
