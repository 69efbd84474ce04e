"""Which packets reach the ego, and when: loss by distance in bursts, and latency, per link.

Loss is a two-state Gilbert-Elliott process per link (E. N. Gilbert, "Capacity of a burst-noise channel", 1960) that advances by one packet
per step: a link in the good state delivers, in the bad state it loses. With mean burst length B and loss share l the transitions are

    bad -> good:   r = 1 / B                  so runs of losses are geometric with mean B
    good -> bad:   p = r * l / (1 - l)        so the stationary share of the bad state, p / (p + r), is l

which needs p <= 1, that is B >= l / (1 - l); `RadioParameters` refuses the rest. p follows the distance of the moment, so after a change of
band the loss share settles within a few packets. A loss of 1 (out of range) is absorbing for as long as the car is there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from roadsense.radio.draws import VehicleDraws
from roadsense.radio.parameters import RadioParameters
from roadsense.state import FloatArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]

_LOSS, _LATENCY = range(2)
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
    """The links from each car to one receiver. One stream per link, so a car's reception does not depend on which others are there."""

    def __init__(self, parameters: RadioParameters, receiver_id: str, root_seed: int) -> None:
        self._edges_m = np.array(parameters.packet_loss.band_edges_m, dtype=np.float64)
        self._loss = np.array(parameters.packet_loss.loss_probabilities, dtype=np.float64)
        self._to_bad, self._stay_bad = burst_transitions(self._loss, parameters.burst_loss.mean_burst_packets)
        self._base_s, self._jitter_s = parameters.latency.base_s, parameters.latency.jitter_s
        self._draws = VehicleDraws(root_seed, f"links to {receiver_id}", 2, _sample_link)
        self._sender_ids: tuple[str, ...] = ()
        self._bad: BoolArray = np.empty(0, dtype=np.bool_)
        self._is_new: BoolArray = np.empty(0, dtype=np.bool_)

    def transmit(self, sender_ids: tuple[str, ...], distance_m: FloatArray, now_s: float) -> FloatArray:
        """Time at which the packet each sender sends now reaches the receiver: array (n,), infinite where it is lost."""
        if sender_ids != self._sender_ids:
            self._arrange(sender_ids)
        draws = self._draws.advance()
        self._advance_states(self._edges_m.searchsorted(distance_m, side="right"), draws[_LOSS])
        arrival_s = now_s + latencies_s(draws[_LATENCY], self._base_s, self._jitter_s)
        arrival_s[self._bad] = np.inf
        return arrival_s

    def _advance_states(self, band: IntArray, uniforms: FloatArray) -> None:
        bad_probability = np.where(self._bad, self._stay_bad[band], self._to_bad[band])
        if self._is_new.any():
            bad_probability = np.where(self._is_new, self._loss[band], bad_probability)
            self._is_new = np.zeros_like(self._is_new)
        self._bad = uniforms < bad_probability

    def _arrange(self, sender_ids: tuple[str, ...]) -> None:
        bad_before = dict(zip(self._sender_ids, self._bad.tolist(), strict=True))
        self._is_new = np.array([sender_id not in bad_before for sender_id in sender_ids], dtype=np.bool_)
        self._bad = np.array([bad_before.get(sender_id, False) for sender_id in sender_ids], dtype=np.bool_)
        self._sender_ids = sender_ids
        self._draws.arrange(sender_ids)


def _sample_link(rng: np.random.Generator, steps: int) -> FloatArray:
    return np.stack((rng.random(steps), rng.standard_normal(steps)), axis=1)
