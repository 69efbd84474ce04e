"""Broadcast, forwarding and the causal queue: which measurements each car holds, and which are on the air.

A broadcast of a car carries its own fresh measurement and, of every other source, the newest measurement that it may still forward. One
broadcast goes out per car and period, so each further link costs a period at least. A measurement is identified by its source and its
period: copies hold the same values by construction, and holding one is a number. With

    held[h][q, s] = the newest period of source s whose measurement has reached car q over at most h links     (held[0]: only its own)

a broadcast of q that reaches r makes held[h + 1][r, s] at least the held[h][q, s] of the moment of sending, and what the ego has heard is
its row of held[max_hops]. Relays so keep the newest per source and number of links: a car that knows a newer copy which has used up its
links still forwards the older one that has not. A measurement never goes round in circles, since a copy that comes back is not newer than
what its holder already has and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadsense.radio.arrays import carry_over
from roadsense.state import FloatArray

IntArray = NDArray[np.intp]
PeriodArray = NDArray[np.int32]  # periods count from 1; 0 means never

# Step times are sums of 0.1 s in floating point: an arrival that falls on a step must not miss it by a rounding error.
TIME_TOLERANCE_S = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcasts:
    """What all cars sent in one period: what each held (max_hops, n, n); arrival times (n, m), infinite where lost or already delivered."""

    period: int
    arrival_s: FloatArray
    held: PeriodArray
    pending: int  # how many arrival times are finite


def newest_received(received: NDArray[np.bool_], sent: PeriodArray) -> PeriodArray:
    """The newest period of each source among what each receiver was sent: array (m, S), from received (n, m) and sent (n, S)."""
    products: PeriodArray = received.astype(np.int32)[:, :, None] * sent[:, None, :]
    newest: PeriodArray = np.maximum.reduce(products, axis=0)
    return newest


def _on_the_air(period: int, arrival_s: FloatArray, held: PeriodArray) -> Broadcasts:
    return Broadcasts(period=period, arrival_s=arrival_s, held=held, pending=int(np.count_nonzero(np.isfinite(arrival_s))))


class Relay:
    """All cars' knowledge of each other in one episode, seen from the ego, which is car 0.

    The ego forwards like every other car. What it forwards cannot change what it hears, as nothing of it can be new to itself.
    """

    def __init__(self, max_hops: int) -> None:
        self._held: PeriodArray = np.zeros((max_hops, 0, 0), dtype=np.int32)
        self._heard: PeriodArray = np.zeros(0, dtype=np.int32)
        self._on_the_air: list[Broadcasts] = []

    @property
    def heard(self) -> PeriodArray:
        """Newest period of each other car that the ego has heard, 0 for never and for the ego itself: array (n,)."""
        return self._heard

    @property
    def sent(self) -> PeriodArray:
        """Period of each car's last broadcast, 0 for never: array (n,)."""
        sent: PeriodArray = self._held[0].diagonal()
        return sent

    @property
    def links(self) -> IntArray:
        """Fewest links over which what is `heard` came, 0 for never and for the ego itself: array (n,)."""
        links = np.full(len(self._heard), len(self._held), dtype=np.intp)
        for count in range(len(self._held) - 1, 0, -1):
            links[self._held[count][0] == self._heard] = count
        links[self._heard == 0] = 0
        return links

    @property
    def forwards(self) -> bool:
        """Whether cars forward at all; if not, only what the ego receives is of consequence."""
        return len(self._held) > 1

    def rearrange(self, origin: IntArray) -> None:
        """From now on there are these cars; `origin` (n,) tells which car each was before, -1 for a new one."""
        self._held = carry_over(self._held, 1, origin, origin, fill=0)
        self._heard = carry_over(self._heard, 0, origin, fill=0)
        self._on_the_air = [self._rearranged(sent, origin) for sent in self._on_the_air]

    def broadcast(self, period: int, arrival_s: FloatArray) -> None:
        """The first p cars send; `arrival_s` (p, q) says when each broadcast reaches the first q cars, infinite where it does not."""
        senders, receivers = arrival_s.shape
        cars = len(self._heard)
        own = np.arange(senders)
        self._held = self._held.copy()  # what is on the air keeps what was held when it was sent
        self._held[:, own, own] = period
        if senders < cars:
            everywhere = np.full((cars, self._receivers(cars)), np.inf)
            everywhere[:senders, :receivers] = arrival_s
            arrival_s = everywhere
        self._on_the_air.append(_on_the_air(period, arrival_s, self._held))

    def collect(self, now_s: float) -> None:
        """Let everything arrive that is due by now."""
        waiting: list[Broadcasts] = []
        for sent in self._on_the_air:
            due = sent.arrival_s <= now_s + TIME_TOLERANCE_S
            arrived = np.count_nonzero(due)
            if arrived:
                self._receive(due, sent)
            if arrived < sent.pending:
                waiting.append(_on_the_air(sent.period, np.where(due, np.inf, sent.arrival_s), sent.held))
        self._on_the_air = waiting

    def _receive(self, received: NDArray[np.bool_], sent: Broadcasts) -> None:
        self._heard = np.maximum(self._heard, newest_received(received[:, :1], sent.held[-1])[0])
        self._heard[0] = 0  # the ego is no source to itself
        if not self.forwards:
            return
        self._held = self._held.copy()
        np.maximum(self._held[1], received.T * np.int32(sent.period), out=self._held[1])
        for links in range(2, len(self._held)):
            np.maximum(self._held[links], newest_received(received, sent.held[links - 1]), out=self._held[links])

    def _rearranged(self, sent: Broadcasts, origin: IntArray) -> Broadcasts:
        arrival_s = carry_over(sent.arrival_s, 0, origin, origin[: self._receivers(len(origin))], fill=np.inf)
        return _on_the_air(sent.period, arrival_s, carry_over(sent.held, 1, origin, origin, fill=0))

    def _receivers(self, cars: int) -> int:
        return cars if self.forwards else 1
