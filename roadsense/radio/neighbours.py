"""The ego's neighbour table: the newest measurement of every source, forgotten when it is stale."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roadsense.config import STEP_LENGTH_S
from roadsense.radio.arrays import carry_over
from roadsense.radio.loops import MEASURED_S, TABLE_COLUMNS, IntArray, PeriodArray, fresh, is_fresh
from roadsense.radio.message import ACCEL_MPS2, HEADING_RAD, SPEED_MPS, X_M, Y_M, HeardPeers, OwnMeasurement
from roadsense.state import FloatArray

__all__ = ["NeighbourTable", "is_fresh"]


class NeighbourTable:
    """What all cars measured in the last periods, and the part of it that the ego has heard and still believes.

    The measurements lie in a ring of as many periods as fit into the time until a message is stale. That is enough when no period is
    shorter than `STEP_LENGTH_S`.

    Attributes:
        measured: the ring (periods, n, 6): what each car measured, and when; `record` of `loops.py` fills it.
    """

    def __init__(self, stale_after_s: float) -> None:
        self._stale_after_s = stale_after_s
        self._periods = math.ceil(stale_after_s / STEP_LENGTH_S) + 2
        self.measured: FloatArray = np.zeros((self._periods, 0, TABLE_COLUMNS))

    def rearrange(self, origin: IntArray) -> None:
        """From now on there are these cars; `origin` (n,) tells which car each was before, -1 for a new one."""
        self.measured = carry_over(self.measured, 1, origin, fill=0.0)

    def remembers(self, period: int, earlier: PeriodArray) -> NDArray[np.bool_]:
        """Which of some earlier periods, 0 meaning never, are still in the ring in this one; any shape."""
        return earlier > max(0, period - self._periods)

    def own(self, period: int) -> OwnMeasurement:
        """What the ego, car 0, measured in this period, in which it was on the road."""
        return OwnMeasurement(*self.measured[period % self._periods, 0, :MEASURED_S].tolist())

    def fresh(self, period: int, now_s: float, ids: tuple[str, ...], heard: PeriodArray) -> HeardPeers:
        """The sources of which the ego has heard a measurement that is not stale; arrays of the caller's own.

        `heard` (n,) is the newest period heard of each of the cars `ids`, 0 for never.
        """
        cars, measured, age_s = fresh(self.measured, heard, period, now_s, self._stale_after_s)
        return HeardPeers(
            source_ids=tuple([ids[car] for car in cars.tolist()]),
            x_m=measured[X_M],
            y_m=measured[Y_M],
            speed_mps=measured[SPEED_MPS],
            accel_mps2=measured[ACCEL_MPS2],
            heading_rad=measured[HEADING_RAD],
            age_s=age_s,
        )
