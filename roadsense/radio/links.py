"""Which broadcasts reach whom, and when: loss by distance in bursts, and latency, for every directed link between two cars.

Loss is a two-state Gilbert-Elliott process per link (E. N. Gilbert, "Capacity of a burst-noise channel", 1960) that advances by one packet
per period: a link in the good state delivers, in the bad state it loses. With mean burst length B and loss share l the transitions are

    bad -> good:   r = 1 / B                  so runs of losses are geometric with mean B
    good -> bad:   p = r * l / (1 - l)        so the stationary share of the bad state, p / (p + r), is l

which needs p <= 1, that is B >= l / (1 - l); `RadioParameters` refuses the rest. p follows the distance of the moment, so after a change of
band the loss share settles within a few packets. A loss of 1 (out of range) is absorbing for as long as the car is there. A link whose two
cars were not both there a period ago starts in the stationary distribution.
"""

from __future__ import annotations

import numpy as np

from roadsense.config import STEP_LENGTH_S
from roadsense.radio.arrays import carry_over
from roadsense.radio.draws import LARGEST_NORMAL, Draws, KeyArray, mix, standard_normals
from roadsense.radio.loops import BAD, GOOD, NEW, IntArray, latencies_s, transmit
from roadsense.radio.parameters import RadioParameters
from roadsense.state import FloatArray

__all__ = ["DELIVERED", "LOST", "OUT_OF_RANGE", "Links", "burst_transitions", "latencies_s"]

# What becomes of a broadcast on one link; the numbers are part of recordings.
DELIVERED, LOST, OUT_OF_RANGE = GOOD, BAD, 2
_LATENCY_STREAM = np.uint64(0x6C6174656E6379)  # sets a link's latencies apart from its losses


def burst_transitions(loss: FloatArray, mean_burst_packets: float) -> tuple[FloatArray, FloatArray]:
    """Probabilities (good to bad, bad to bad) per entry of `loss`; the formula stands in the module's docstring."""
    recovery = 1.0 / mean_burst_packets
    out_of_range = loss >= 1.0
    to_bad = recovery * loss / (1.0 - np.where(out_of_range, 0.0, loss))
    return np.where(out_of_range, 1.0, np.minimum(to_bad, 1.0)), np.where(out_of_range, 1.0, 1.0 - recovery)


class Links:
    """The directed links from n senders to m receivers, the receivers being the first m senders.

    Every link has its own state and its own streams for loss and latency, so it does not depend on which other cars are there.

    Attributes:
        state: of every link (n, m): `GOOD`, `BAD` or `NEW`.
        bands: table (4, bands): the squared outer edge of every band (the last has none: infinite), then for every state the probability
            that a packet is lost.
        keys: of the stream of uniform numbers that every link (n, m) draws its losses from.
        latencies: normal numbers for every link, none where latencies cannot matter.
        base_s: mean latency.
        jitter_s: its standard deviation.
        latency_matters: whether anything can arrive later than a period after it was sent.
    """

    def __init__(self, parameters: RadioParameters) -> None:
        squared_edges_m2 = np.square(np.array(parameters.packet_loss.band_edges_m, dtype=np.float64))
        loss = np.array(parameters.packet_loss.loss_probabilities, dtype=np.float64)
        to_bad, stay_bad = burst_transitions(loss, parameters.burst_loss.mean_burst_packets)
        self._out_of_range = loss >= 1.0
        self.bands: FloatArray = np.array([[*squared_edges_m2, np.inf], to_bad, stay_bad, loss])
        self.base_s, self.jitter_s = parameters.latency.base_s, parameters.latency.jitter_s
        # Who listens once per period cannot tell latencies apart that all end within it, so they need not be drawn.
        self.latency_matters = self.base_s + LARGEST_NORMAL * self.jitter_s > STEP_LENGTH_S
        self.latencies = Draws(standard_normals, dimensions=2)
        self.state: IntArray = np.empty((0, 0), dtype=np.intp)
        self.keys: KeyArray = np.empty((0, 0), dtype=np.uint64)

    def rearrange(self, sending_keys: KeyArray, receiving_keys: KeyArray, origin: IntArray) -> None:
        """From now on the links lead from the n cars of `sending_keys` to the m of `receiving_keys`.

        `origin` (n,) tells which car each was before, -1 for one that was not there.
        """
        self.state = carry_over(self.state, 0, origin, origin[: len(receiving_keys)], fill=NEW)
        self.keys = mix(sending_keys[:, None] + receiving_keys)
        if self.latency_matters:
            self.latencies.rekey(mix(self.keys ^ _LATENCY_STREAM))

    def transmit(self, period: int, now_s: float, x_m: FloatArray, y_m: FloatArray) -> FloatArray:
        """When the broadcast that each car sends now, from its place (n,), reaches each receiver: array (n, m), infinite where it is lost.

        Call it once per period; a latency that cannot matter to who listens once per period is given as the mean.
        """
        arrival_s = np.empty(self.state.shape)
        normals = self.latencies.at(period) if self.latency_matters else np.empty((0, 0))
        transmit(self.state, self.bands, self.keys, period, normals, x_m, y_m, now_s, self.base_s, self.jitter_s, arrival_s)
        return arrival_s

    def fates(self, x_m: FloatArray, y_m: FloatArray) -> IntArray:
        """What became of the last broadcasts: array (n, m) of `DELIVERED`, `LOST` and `OUT_OF_RANGE`, by sender and receiver.

        Takes the places (n,) of that `transmit`. It is for looking on: nothing is drawn and nothing changes.
        """
        fates = np.where(self._out_of_range[self._band(x_m, y_m)], OUT_OF_RANGE, self.state)
        return np.asarray(fates, dtype=np.intp)

    def _band(self, x_m: FloatArray, y_m: FloatArray) -> IntArray:
        receivers = self.state.shape[1]
        east_m, north_m = x_m[:, None] - x_m[:receivers], y_m[:, None] - y_m[:receivers]
        return self.bands[0, :-1].searchsorted(east_m * east_m + north_m * north_m, side="right")
