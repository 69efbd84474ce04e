"""The ego's neighbour table: the newest measurement of every source, forgotten when it is stale."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roadsense.compiled import compiled
from roadsense.config import STEP_LENGTH_S
from roadsense.radio.arrays import carry_over
from roadsense.radio.message import ACCEL_MPS2, HEADING_RAD, MEASUREMENT_ROWS, SPEED_MPS, X_M, Y_M, HeardPeers
from roadsense.radio.relay import TIME_TOLERANCE_S, IntArray, PeriodArray
from roadsense.state import FloatArray


@compiled
def is_fresh(age_s: float, stale_after_s: float) -> bool:
    """Whether a measurement of this age is still believed."""
    return age_s <= stale_after_s + TIME_TOLERANCE_S


class NeighbourTable:
    """What all cars measured in the last periods, and the part of it that the ego has heard and still believes.

    The measurements lie in a ring of as many periods as fit into the time until a message is stale. That is enough when no period is
    shorter than `STEP_LENGTH_S`.
    """

    def __init__(self, stale_after_s: float) -> None:
        self._stale_after_s = stale_after_s
        self._periods = math.ceil(stale_after_s / STEP_LENGTH_S) + 2
        self._measured_s: FloatArray = np.zeros(self._periods)
        self._measured: FloatArray = np.zeros((self._periods, 0, MEASUREMENT_ROWS))

    def rearrange(self, origin: IntArray) -> None:
        """From now on there are these cars; `origin` (n,) tells which car each was before, -1 for a new one."""
        self._measured = carry_over(self._measured, 1, origin, fill=0.0)

    def record(self, period: int, now_s: float, measured: FloatArray, columns: IntArray) -> None:
        """Keep what the first p cars measured in this period, which are the `columns` (p,) of an array (5, N)."""
        _record(self._measured_s, self._measured, period % self._periods, now_s, measured, columns)

    def remembers(self, period: int, earlier: PeriodArray) -> NDArray[np.bool_]:
        """Which of some earlier periods, 0 meaning never, are still in the ring in this one; any shape."""
        return earlier > max(0, period - self._periods)

    def fresh(self, period: int, now_s: float, ids: tuple[str, ...], heard: PeriodArray) -> HeardPeers:
        """The sources of which the ego has heard a measurement that is not stale; arrays of the caller's own.

        `heard` (n,) is the newest period heard of each of the cars `ids`, 0 for never.
        """
        cars, measured, age_s = _fresh(heard, max(0, period - self._periods), self._measured_s, self._measured, now_s, self._stale_after_s)
        return HeardPeers(
            source_ids=tuple([ids[car] for car in cars.tolist()]),
            x_m=measured[X_M],
            y_m=measured[Y_M],
            speed_mps=measured[SPEED_MPS],
            accel_mps2=measured[ACCEL_MPS2],
            heading_rad=measured[HEADING_RAD],
            age_s=age_s,
        )


@compiled
def _record(measured_s: FloatArray, ring: FloatArray, slot: int, now_s: float, measured: FloatArray, columns: IntArray) -> None:
    measured_s[slot] = now_s
    for car in range(len(columns)):
        for row in range(measured.shape[0]):
            ring[slot, car, row] = measured[row, columns[car]]


@compiled
def _fresh(
    heard: PeriodArray,
    forgotten: int,
    measured_s: FloatArray,
    measured: FloatArray,
    now_s: float,
    stale_after_s: float,
) -> tuple[IntArray, FloatArray, FloatArray]:
    """The c cars heard after the period `forgotten` and not stale: their places (c,), measurements (5, c) and ages (c,)."""
    periods, _, rows = measured.shape
    cars = np.empty(len(heard), dtype=np.intp)
    count = 0
    for car in range(len(heard)):
        if heard[car] > forgotten and is_fresh(now_s - measured_s[heard[car] % periods], stale_after_s):
            cars[count] = car
            count += 1
    chosen = cars[:count].copy()
    values, age_s = np.empty((rows, count)), np.empty(count)
    for place, car in enumerate(chosen):
        slot = heard[car] % periods
        age_s[place] = min(now_s - measured_s[slot], stale_after_s)
        for row in range(rows):
            values[row, place] = measured[slot, car, row]
    return chosen, values, age_s
