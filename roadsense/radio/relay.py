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

import numpy as np

from roadsense.radio.arrays import carry_over
from roadsense.radio.loops import TIME_TOLERANCE_S, IntArray, PeriodArray, broadcast, collect
from roadsense.state import FloatArray

# A broadcast has arrived when the next one goes out, unless latencies are longer than a period; then the room grows as needed.
_ROOM = 2


class Relay:
    """All cars' knowledge of each other in one episode, seen from the ego, which is car 0.

    The ego forwards like every other car. What it forwards cannot change what it hears, as nothing of it can be new to itself.

    Attributes:
        held: `held[0]` (max_hops, n, n) is what all cars hold now, `held[1 + b]` what they held when they sent broadcast b on the air.
        arrival_s: when broadcast b on the air reaches whom: (room, n, m), infinite where it does not, m being n or the ego alone where
            nobody forwards.
        on_air: how many broadcasts are on the air.
        room: how many there is room for.
        heard: newest period of each other car that the ego has heard, 0 for never and for the ego itself: (n,).
    """

    def __init__(self, max_hops: int) -> None:
        self.room = _ROOM
        self.held: PeriodArray = np.zeros((1 + self.room, max_hops, 0, 0), dtype=np.int32)
        self.arrival_s: FloatArray = np.empty((self.room, 0, 0))
        self.on_air = 0
        self.heard: PeriodArray = np.zeros(0, dtype=np.int32)

    @property
    def sent(self) -> PeriodArray:
        """Period of each car's last broadcast, 0 for never: array (n,)."""
        sent: PeriodArray = self.held[0, 0].diagonal()
        return sent

    @property
    def links(self) -> IntArray:
        """Fewest links over which what is `heard` came, 0 for never and for the ego itself: array (n,)."""
        held = self.held[0]
        links = np.full(len(self.heard), len(held), dtype=np.intp)
        for count in range(len(held) - 1, 0, -1):
            links[held[count][0] == self.heard] = count
        links[self.heard == 0] = 0
        return links

    @property
    def forwards(self) -> bool:
        """Whether cars forward at all; if not, only what the ego receives is of consequence."""
        max_hops: int = self.held.shape[1]
        return max_hops > 1

    def rearrange(self, origin: IntArray) -> None:
        """From now on there are these cars; `origin` (n,) tells which car each was before, -1 for a new one."""
        self.held = carry_over(self.held, 2, origin, origin, fill=0)
        self.heard = carry_over(self.heard, 0, origin, fill=0)
        self.arrival_s = carry_over(self.arrival_s, 1, origin, origin if self.forwards else origin[:1], fill=np.inf)

    def make_room(self) -> None:
        """Make room for twice as many broadcasts on the air."""
        self.held = np.concatenate((self.held, np.zeros_like(self.held[: self.room])))
        self.arrival_s = np.concatenate((self.arrival_s, np.empty_like(self.arrival_s)))
        self.room *= 2

    def broadcast(self, period: int, arrival_s: FloatArray) -> None:
        """The first p cars send; `arrival_s` (p, q) says when each broadcast reaches the first q cars, infinite where it does not."""
        senders, receivers = arrival_s.shape
        if self.on_air == self.room:
            self.make_room()
        self.arrival_s[self.on_air] = np.inf
        self.arrival_s[self.on_air, :senders, :receivers] = arrival_s
        broadcast(period, senders, self.on_air, self.held)
        self.on_air += 1

    def collect(self, now_s: float) -> None:
        """Let everything arrive that is due by now."""
        self.on_air = collect(self.on_air, now_s + TIME_TOLERANCE_S, self.arrival_s, self.held, self.heard)
