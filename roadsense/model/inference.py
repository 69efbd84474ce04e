"""A policy that acts: the forward pass in NumPy, for one observation at a time, without torch and without Ray.

On one observation torch spends most of its time on calls, not on numbers; this pass is equal to it to 1e-6 (tests/model) and needs no
import of torch in evaluation processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from roadsense.errors import ConfigError
from roadsense.features import EGO_SIZE, PEER_SIZE
from roadsense.model.action import deterministic_action
from roadsense.model.inputs import beside_one_ego, peer_inputs, squashed
from roadsense.model.settings import ModelSettings
from roadsense.model.weights import Weights, weights_digest
from roadsense.peer_set import PeerSet

if TYPE_CHECKING:
    from roadsense.model.deep_sets import DeepSets

FloatArray = NDArray[np.float32]


class Policy:
    """A trained policy: an observation in, a brake action out, always the same for the same observation.

    Args:
        settings: the architecture.
        weights: float32 arrays with the names and shapes of `settings.acting_shapes()`.
        metadata: where the policy comes from.
    """

    def __init__(self, settings: ModelSettings, weights: Weights, metadata: Mapping[str, Any]) -> None:
        self.settings = settings
        self.weights = dict(weights)
        self.metadata = dict(metadata)
        self._encoder = _layers(weights, "peer_encoder")
        self._actor = _layers(weights, "actor")

    @property
    def weights_sha256(self) -> str:
        """The fingerprint of the weights, as `roadsense.model.weights.weights_sha256` gives it for a model."""
        return weights_digest(self.weights)

    def __call__(self, observation: Mapping[str, Any]) -> float:
        """The deterministic action for `{"ego": float32 (E,), "peers": PeerSet}`: 0, or a fraction of full braking above the threshold.

        Raises:
            ConfigError: the observation has another shape, or is not finite.
        """
        return float(deterministic_action(self.action_parameters(observation)))

    def action_parameters(self, observation: Mapping[str, Any]) -> FloatArray:
        """The three action parameters; raises ConfigError for an observation of another shape, or one that is not finite."""
        ego_E, values_NF = _checked(observation)
        ego_I, hidden = squashed(ego_E), peer_inputs(values_NF, mirrors=self.settings.mirror_peers)
        if self.settings.ego_in_encoder:
            hidden = beside_one_ego(hidden, ego_I)
        for weight, bias in self._encoder:
            hidden = np.maximum(hidden @ weight + bias, 0.0)
        hidden = np.concatenate([ego_I, *self._pooled(hidden)])
        for weight, bias in self._actor[:-1]:
            hidden = np.maximum(hidden @ weight + bias, 0.0)
        weight, bias = self._actor[-1]
        return np.asarray(hidden @ weight + bias, dtype=np.float32)

    def to_model(self) -> DeepSets:
        """The same policy as a torch module without critic, for export and for comparisons."""
        import torch

        from roadsense.model.deep_sets import DeepSets

        model = DeepSets(self.settings, acting_only=True)
        model.load_state_dict({name: torch.tensor(array) for name, array in self.weights.items()})
        return model.eval()

    def _pooled(self, encoded_NH: FloatArray) -> list[FloatArray]:
        # The encoder ends in ReLU, so 0 is the neutral element and the value of the empty set; see roadsense.model.pooling.
        pooled = []
        if "max" in self.settings.pool:
            pooled.append(encoded_NH.max(axis=0, initial=0.0))
        if "mean" in self.settings.pool:
            pooled.append(encoded_NH.sum(axis=0) / np.float32(max(1, len(encoded_NH))))
        return pooled


def _layers(weights: Weights, part: str) -> list[tuple[FloatArray, FloatArray]]:
    names = [name.removesuffix(".weight") for name in weights if name.startswith(f"{part}.") and name.endswith(".weight")]
    return [(np.ascontiguousarray(weights[f"{name}.weight"].T), weights[f"{name}.bias"]) for name in names]


def _checked(observation: Mapping[str, Any]) -> tuple[FloatArray, FloatArray]:
    ego, peers = np.asarray(observation["ego"], dtype=np.float32), observation["peers"]
    if ego.shape != (EGO_SIZE,) or not np.isfinite(ego).all():
        raise ConfigError(f"observation: 'ego' is {ego!r}; give {EGO_SIZE} finite numbers")
    if not isinstance(peers, PeerSet) or peers.feature_count != PEER_SIZE:
        raise ConfigError(f"observation: 'peers' is {peers!r}; give a PeerSet with {PEER_SIZE} features")
    return ego, peers.values
