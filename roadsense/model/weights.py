"""The weights that acting needs, as NumPy arrays by name, and their fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from roadsense.model.deep_sets import DeepSets

WEIGHT_TYPE: Final = np.dtype("<f4")

Weights = Mapping[str, NDArray[np.float32]]


def acting_weights(model: DeepSets) -> dict[str, NDArray[np.float32]]:
    """Copies of the weights of encoder and actor, in the order of `ModelSettings.acting_shapes`; the critic is not among them."""
    state = model.state_dict()
    return {name: state[name].detach().cpu().numpy().astype(WEIGHT_TYPE, order="C", copy=True) for name in model.settings.acting_shapes()}


def weights_sha256(model: DeepSets) -> str:
    """The fingerprint of what the policy does: equal for two models exactly when their acting weights are equal bit by bit."""
    return weights_digest(acting_weights(model))


def weights_digest(weights: Weights) -> str:
    """SHA-256 over names, shapes and little-endian values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = weights[name]
        digest.update(f"{name} {array.shape}\n".encode())
        digest.update(array.astype(WEIGHT_TYPE, order="C").tobytes())
    return digest.hexdigest()
