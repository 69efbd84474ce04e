"""An answer to a step in which nothing happened but driving: most are, and one look at all bytes tells that the next one is another."""

from __future__ import annotations

from struct import Struct
from typing import Final

import numpy as np

from roadsense.state import SimulatorState
from roadsense.sumo.snapshot import vehicle_states
from roadsense.sumo.vehicle_layout import ByteArray, VehicleLayout, pattern_of, read_fitting

NO_VEHICLES: Final = vehicle_states({})
_DOUBLE: Final = Struct("!d")
_NO_NUMBERS: Final = np.empty((7, 0), dtype=np.intp)


class UneventfulStep:
    """What such an answer looks like: its time and its vehicles' numbers may be any, all other bytes are those of this one.

    Args:
        answer: all of it; nobody departed, arrived or collided.
        time_begin: where its time stands.
        around: where its vehicles begin, and how they lie there; None when none are watched.

    Attributes:
        size: bytes of the answer.
    """

    def __init__(self, answer: bytes, time_begin: int, around: tuple[int, VehicleLayout] | None) -> None:
        self.size = len(answer)
        self._time_begin = time_begin
        self._pattern_2S = pattern_of(np.frombuffer(answer, np.uint8), np.array([time_begin]))
        self._layout, self._numbers_7N = None, _NO_NUMBERS
        if around is not None:
            begin, self._layout = around
            self._numbers_7N = begin + self._layout.numbers_7N
            self._pattern_2S[:, begin : begin + self._layout.size] = self._layout.pattern_2S
        self._shape = self._numbers_7N.shape

    def state(self, content: ByteArray) -> SimulatorState | None:
        """The state in the first `size` bytes, which must be there; None when they do not look as they should."""
        columns_7N = np.empty(self._shape)
        if not read_fitting(content, self._pattern_2S, self._numbers_7N, columns_7N):
            return None
        return SimulatorState(
            time_s=_DOUBLE.unpack_from(content, self._time_begin)[0],  # type: ignore[arg-type] # stubs call it no buffer before Python 3.12
            vehicles=NO_VEHICLES if self._layout is None else self._layout.states(columns_7N),
        )
