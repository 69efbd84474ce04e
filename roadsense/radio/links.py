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
from numpy.typing import NDArray

from roadsense.compiled import compiled
from roadsense.config import STEP_LENGTH_S
from roadsense.radio.arrays import carry_over
from roadsense.radio.draws import LARGEST_NORMAL, Draws, KeyArray, mix, standard_normals, uniforms
from roadsense.radio.parameters import RadioParameters
from roadsense.state import FloatArray

IntArray = NDArray[np.intp]

_GOOD, _BAD, _NEW = range(3)

# What becomes of a broadcast on one link; the numbers are part of recordings.
DELIVERED, LOST, OUT_OF_RANGE = range(3)
_LATENCY_STREAM = np.uint64(0x6C6174656E6379)  # sets a link's latencies apart from its losses
_SHORTEST_LATENCY_S = 1e-4  # where the normal distribution's tail is cut: no frame is on the air for less


def burst_transitions(loss: FloatArray, mean_burst_packets: float) -> tuple[FloatArray, FloatArray]:
    """Probabilities (good to bad, bad to bad) per entry of `loss`; the formula stands in the module's docstring."""
    recovery = 1.0 / mean_burst_packets
    out_of_range = loss >= 1.0
    to_bad = recovery * loss / (1.0 - np.where(out_of_range, 0.0, loss))
    return np.where(out_of_range, 1.0, np.minimum(to_bad, 1.0)), np.where(out_of_range, 1.0, 1.0 - recovery)


def latencies_s(normals: FloatArray, base_s: float, jitter_s: float) -> FloatArray:
    """Latency of each packet from standard normal numbers, cut so that it stays positive unless `base_s` is 0."""
    return np.maximum(base_s + jitter_s * normals, min(base_s, _SHORTEST_LATENCY_S))


class Links:
    """The directed links from n senders to m receivers, the receivers being the first m senders.

    Every link has its own state and its own streams for loss and latency, so it does not depend on which other cars are there.
    """

    def __init__(self, parameters: RadioParameters) -> None:
        self._squared_edges_m2 = np.square(np.array(parameters.packet_loss.band_edges_m, dtype=np.float64))
        loss = np.array(parameters.packet_loss.loss_probabilities, dtype=np.float64)
        to_bad, stay_bad = burst_transitions(loss, parameters.burst_loss.mean_burst_packets)
        self._out_of_range = loss >= 1.0
        self._bad_probability = np.concatenate((to_bad, stay_bad, loss))  # by state, then band
        self._base_s, self._jitter_s = parameters.latency.base_s, parameters.latency.jitter_s
        longest_s = self._base_s + LARGEST_NORMAL * self._jitter_s
        # Who listens once per period cannot tell latencies apart that all end within it, so they need not be drawn.
        self._latency_matters = longest_s > STEP_LENGTH_S
        self._loss_draws, self._latency_draws = Draws(uniforms), Draws(standard_normals)
        self._state: IntArray = np.empty((0, 0), dtype=np.intp)

    def rearrange(self, sending_keys: KeyArray, receiving_keys: KeyArray, origin: IntArray) -> None:
        """From now on the links lead from the n cars of `sending_keys` to the m of `receiving_keys`.

        `origin` (n,) tells which car each was before, -1 for one that was not there.
        """
        self._state = carry_over(self._state, 0, origin, origin[: len(receiving_keys)], fill=_NEW)
        keys = mix(sending_keys[:, None] + receiving_keys)
        self._loss_draws.rekey(keys)
        if self._latency_matters:
            self._latency_draws.rekey(mix(keys ^ _LATENCY_STREAM))

    def transmit(self, period: int, now_s: float, x_m: FloatArray, y_m: FloatArray) -> FloatArray:
        """When the broadcast that each car sends now, from its place (n,), reaches each receiver: array (n, m), infinite where it is lost.

        Call it once per period; a latency that cannot matter to who listens once per period is given as the mean.
        """
        draws = self._loss_draws.at(period)
        arrival_s = _transmit(self._state, draws, self._bad_probability, self._squared_edges_m2, x_m, y_m, now_s + self._base_s)
        if self._latency_matters:
            jittered_s = now_s + latencies_s(self._latency_draws.at(period), self._base_s, self._jitter_s)
            return np.where(np.isinf(arrival_s), np.inf, jittered_s)
        return arrival_s

    def fates(self, x_m: FloatArray, y_m: FloatArray) -> IntArray:
        """What became of the last broadcasts: array (n, m) of `DELIVERED`, `LOST` and `OUT_OF_RANGE`, by sender and receiver.

        Takes the places (n,) of that `transmit`. It is for looking on: nothing is drawn and nothing changes.
        """
        fates = np.where(self._out_of_range[self._band(x_m, y_m)], OUT_OF_RANGE, self._state)
        return np.asarray(fates, dtype=np.intp)

    def _band(self, x_m: FloatArray, y_m: FloatArray) -> IntArray:
        receivers = self._state.shape[1]
        east_m, north_m = x_m[:, None] - x_m[:receivers], y_m[:, None] - y_m[:receivers]
        return self._squared_edges_m2.searchsorted(east_m * east_m + north_m * north_m, side="right")


@compiled
def _transmit(
    state: IntArray,
    draws: FloatArray,
    bad_probability: FloatArray,
    squared_edges_m2: FloatArray,
    x_m: FloatArray,
    y_m: FloatArray,
    received_s: float,
) -> FloatArray:
    """Advance the state (n, m) of every link by one packet: array (n, m) of `received_s`, infinite where the packet is lost."""
    senders, receivers = state.shape
    arrival_s = np.empty((senders, receivers))
    bands = len(squared_edges_m2) + 1
    for sender in range(senders):
        for receiver in range(receivers):
            east_m, north_m = x_m[sender] - x_m[receiver], y_m[sender] - y_m[receiver]
            squared_m2 = east_m * east_m + north_m * north_m
            band = 0
            while band < bands - 1 and squared_edges_m2[band] <= squared_m2:
                band += 1
            lost = draws[sender, receiver] < bad_probability[state[sender, receiver] * bands + band]
            state[sender, receiver] = _BAD if lost else _GOOD
            arrival_s[sender, receiver] = np.inf if lost else received_s
    return arrival_s
