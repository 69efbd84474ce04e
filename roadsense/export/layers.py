"""The acting network as plain arrays: what every format is written from.

Shape suffixes: I inputs and O outputs of a layer, J inputs of the peer encoder, P width of the pooled peers, N peers, E ego features, F
peer features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from roadsense.model.inputs import beside_one_ego, peer_inputs, squashed
from roadsense.model.settings import ModelSettings

if TYPE_CHECKING:
    from roadsense.model.inference import Policy

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One linear layer, `y = weight x + bias` with weight (O, I) and bias (O,), and whether a ReLU follows."""

    weight: FloatArray
    bias: FloatArray
    relu: bool

    def __call__(self, inputs_NI: FloatArray) -> FloatArray:
        """Outputs (N, O), after the ReLU where there is one."""
        outputs_NO = inputs_NI @ self.weight.T + self.bias
        return np.maximum(outputs_NO, np.float32(0)) if self.relu else outputs_NO


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The peer encoder, which ends in ReLU, and the head on the squashed ego entries followed by the pooled peers.

    That the encoder ends in ReLU is what makes an empty set safe: no encoded value is negative, so pooling may start at 0.
    """

    settings: ModelSettings
    encoder: tuple[Layer, ...]
    head: tuple[Layer, ...]

    @property
    def sees_ego(self) -> bool:
        """Whether the encoder is given the squashed ego entries behind those of each peer."""
        return self.settings.ego_in_encoder

    @property
    def mirrors(self) -> bool:
        """Whether peers to the right are given as their mirror images to the left."""
        return self.settings.mirror_peers

    def encoder_inputs(self, ego_E: FloatArray, peers_NF: FloatArray) -> FloatArray:
        """What the encoder is given of each peer that this ego heard, (N, J): observation entries in, squashed entries out."""
        inputs_NJ = peer_inputs(peers_NF, mirrors=self.mirrors)
        return beside_one_ego(inputs_NJ, squashed(ego_E)) if self.sees_ego else inputs_NJ

    @property
    def pools(self) -> tuple[str, ...]:
        """The kinds of pooling side by side, "max" and "mean", in the order of the head's inputs."""
        return tuple(self.settings.pool.split("+"))

    def pooled(self, encoded_NH: FloatArray) -> FloatArray:
        """Pool encoded peers (N, H), N may be 0, to (P,)."""
        parts = []
        for kind in self.pools:
            if kind == "max":
                parts.append(encoded_NH.max(axis=0, initial=0.0))
            else:
                parts.append(encoded_NH.sum(axis=0, dtype=np.float32) / np.float32(max(1, len(encoded_NH))))
        return np.concatenate(parts).astype(np.float32)


def network_of(policy: Policy) -> Network:
    """The layers of a loaded policy; the arrays are float32 and those of the policy file, bit for bit."""
    return Network(settings=policy.settings, encoder=_layers(policy, "peer_encoder"), head=_layers(policy, "actor"))


def _layers(policy: Policy, part: str) -> tuple[Layer, ...]:
    prefix, suffix = f"{part}.", ".weight"
    names = [name.removesuffix(suffix) for name in policy.weights if name.startswith(prefix) and name.endswith(suffix)]
    last_has_relu = part == "peer_encoder"
    return tuple(
        Layer(weight=policy.weights[f"{name}.weight"], bias=policy.weights[f"{name}.bias"], relu=last_has_relu or name != names[-1])
        for name in names
    )
