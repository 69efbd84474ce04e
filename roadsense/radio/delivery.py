"""The causal queue: a message becomes audible in the first step at or after its arrival, never before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadsense.state import FloatArray

IntArray = NDArray[np.intp]

# Step times are sums of 0.1 s in floating point: an arrival that falls on a step must not miss it by a rounding error.
TIME_TOLERANCE_S = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Packets:
    """n messages (6, n) for rows (n,) of the neighbour table, and their arrival times (n,)."""

    arrival_s: FloatArray
    rows: IntArray
    messages: FloatArray

    def select(self, chosen: NDArray[np.bool_]) -> Packets:
        """The packets where `chosen` (n,) is true."""
        return Packets(arrival_s=self.arrival_s[chosen], rows=self.rows[chosen], messages=self.messages[:, chosen])


class DeliveryQueue:
    """Packets on their way to one receiver, in the order in which they were sent."""

    def __init__(self) -> None:
        self._in_flight: list[Packets] = []

    def send(self, packets: Packets) -> None:
        """Accept packets for later; those that arrive at infinity are lost."""
        on_the_way = np.isfinite(packets.arrival_s)
        self._in_flight.append(packets if on_the_way.all() else packets.select(on_the_way))

    def collect(self, now_s: float) -> list[Packets]:
        """Remove and return what has arrived by now; at most one packet per source in each element, elements in the order sent."""
        arrived: list[Packets] = []
        waiting: list[Packets] = []
        for packets in self._in_flight:
            due = packets.arrival_s <= now_s + TIME_TOLERANCE_S
            if due.all():
                arrived.append(packets)
                continue
            waiting.append(packets.select(~due))
            if due.any():
                arrived.append(packets.select(due))
        self._in_flight = waiting
        return arrived
