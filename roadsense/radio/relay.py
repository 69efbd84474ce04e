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

from roadsense.compiled import compiled
from roadsense.radio.arrays import carry_over
from roadsense.state import FloatArray

IntArray = NDArray[np.intp]
PeriodArray = NDArray[np.int32]  # periods count from 1; 0 means never

# Step times are sums of 0.1 s in floating point: an arrival that falls on a step must not miss it by a rounding error.
TIME_TOLERANCE_S = 1e-9


@dataclass(slots=True, kw_only=True)
class Broadcasts:
    """What all cars sent in one period: what each held (max_hops, n, n); arrival times (n, m), infinite where lost."""

    period: int
    arrival_s: FloatArray
    held: PeriodArray


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
        if senders < cars:
            everywhere = np.full((cars, self._receivers(cars)), np.inf)
            everywhere[:senders, :receivers] = arrival_s
            arrival_s = everywhere
        self._on_the_air.append(Broadcasts(period=period, arrival_s=arrival_s, held=_sent(self._held, period, senders)))

    def collect(self, now_s: float) -> None:
        """Let everything arrive that is due by now."""
        waiting: list[Broadcasts] = []
        for sent in self._on_the_air:
            if _deliver(sent.arrival_s, now_s + TIME_TOLERANCE_S, sent.period, sent.held, self._held, self._heard):
                waiting.append(sent)
        self._on_the_air = waiting

    def _rearranged(self, sent: Broadcasts, origin: IntArray) -> Broadcasts:
        arrival_s = carry_over(sent.arrival_s, 0, origin, origin[: self._receivers(len(origin))], fill=np.inf)
        return Broadcasts(period=sent.period, arrival_s=arrival_s, held=carry_over(sent.held, 1, origin, origin, fill=0))

    def _receivers(self, cars: int) -> int:
        return cars if self.forwards else 1


@compiled
def _sent(held: PeriodArray, period: int, senders: int) -> PeriodArray:
    """The first cars measure anew; a copy of `held`, as what is on the air keeps what was held when it was sent."""
    for links in range(held.shape[0]):
        for sender in range(senders):
            held[links, sender, sender] = period
    return held.copy()


@compiled
def _deliver(arrival_s: FloatArray, until_s: float, period: int, sent: PeriodArray, held: PeriodArray, heard: PeriodArray) -> int:
    """Everything of one period's broadcasts that arrives by `until_s` goes into `held` and `heard`; how much is still on the air.

    Where cars do not forward, only what the ego receives is of consequence.
    """
    links, cars, _ = sent.shape
    pending = 0
    for sender in range(arrival_s.shape[0]):
        for receiver in range(arrival_s.shape[1]):
            due_s = arrival_s[sender, receiver]
            if due_s > until_s:
                pending += due_s < np.inf
                continue
            # What has been delivered before may be delivered again: nothing of it is new then.
            if receiver == 0:
                for source in range(1, cars):  # the ego is no source to itself
                    heard[source] = max(heard[source], sent[links - 1, sender, source])
            if links > 1:
                held[1, receiver, sender] = max(held[1, receiver, sender], period)
            for used in range(2, links):
                for source in range(cars):
                    held[used, receiver, source] = max(held[used, receiver, source], sent[used - 1, sender, source])
    return pending
