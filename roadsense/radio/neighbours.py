"""The ego's neighbour table: the newest measurement of every source, forgotten when it is stale."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roadsense.config import STEP_LENGTH_S
from roadsense.radio.arrays import carry_over
from roadsense.radio.message import ACCEL_MPS2, HEADING_RAD, MEASUREMENT_ROWS, SPEED_MPS, X_M, Y_M, HeardPeers
from roadsense.radio.relay import TIME_TOLERANCE_S, IntArray, PeriodArray
from roadsense.state import FloatArray


def is_fresh(age_s: FloatArray, stale_after_s: float) -> NDArray[np.bool_]:
    """Which measurements of these ages, any shape, are still believed."""
    fresh: NDArray[np.bool_] = age_s <= stale_after_s + TIME_TOLERANCE_S
    return fresh


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

    def record(self, period: int, now_s: float, measured: FloatArray) -> None:
        """Keep what the first p cars measured in this period: array (5, p)."""
        slot = period % self._periods
        self._measured_s[slot] = now_s
        self._measured[slot, : measured.shape[1]] = measured.T

    def remembers(self, period: int, earlier: PeriodArray) -> NDArray[np.bool_]:
        """Which of some earlier periods, 0 meaning never, are still in the ring in this one; any shape."""
        return earlier > max(0, period - self._periods)

    def fresh(self, period: int, now_s: float, ids: tuple[str, ...], heard: PeriodArray) -> HeardPeers:
        """The sources of which the ego has heard a measurement that is not stale; arrays of the caller's own.

        `heard` (n,) is the newest period heard of each of the cars `ids`, 0 for never.
        """
        cars = np.flatnonzero(self.remembers(period, heard))
        slots = heard[cars] % self._periods
        age_s = now_s - self._measured_s[slots]
        chosen = is_fresh(age_s, self._stale_after_s)
        if not chosen.all():
            cars, slots, age_s = cars[chosen], slots[chosen], age_s[chosen]
        measured = self._measured[slots, cars].T.copy()
        return HeardPeers(
            source_ids=tuple([ids[car] for car in cars.tolist()]),
            x_m=measured[X_M],
            y_m=measured[Y_M],
            speed_mps=measured[SPEED_MPS],
            accel_mps2=measured[ACCEL_MPS2],
            heading_rad=measured[HEADING_RAD],
            age_s=np.minimum(age_s, self._stale_after_s),
        )
