"""What every exported artifact can be asked, and the boundary that all of them share.

Backends disagree about NaN (ONNX Runtime drops such a peer from a maximum, TFLite passes it on, plain C may make a ghost of it), so it is
refused before any of them sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from roadsense.errors import ConfigError
from roadsense.export.layers import FloatArray
from roadsense.features import EGO_FEATURES, EGO_SCALES, EGO_SIZE, PEER_FEATURES, PEER_SCALES, PEER_SIZE
from roadsense.model.action import deterministic_action
from roadsense.radio.observe import peers_from_observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The three action parameters (float32 (3,), see `roadsense.model.action`) and the action that the artifact makes of them."""

    parameters: FloatArray
    action: float


class Artifact(Protocol):
    """An exported policy: physical values in, a decision out."""

    def decide(self, ego_E: FloatArray, peers_NF: FloatArray) -> Decision:
        """Decide on checked physical values, float32 (E,) and (n, F) in the order of `roadsense.features`."""
        ...


class ArtifactPolicy:
    """An artifact as a policy for the evaluation: observations in, actions out. It has no memory.

    Args:
        artifact: what decides.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact

    def begin(self, _rng: np.random.Generator, /) -> None:
        """Nothing to clear."""

    def __call__(self, observation: Mapping[str, Any], /) -> float:
        """The action for an observation; raises ConfigError when it is not finite or of another shape."""
        ego = np.asarray(observation["ego"], dtype=np.float64) * EGO_SCALES
        ego_E, peers_NF = physical_inputs(ego, peers_from_observation(observation["peers"].values))
        return self.artifact.decide(ego_E, peers_NF).action


def physical_inputs(ego: ArrayLike, peers: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Ego (E,) and peers (n, F) in physical units as float32.

    Raises:
        ConfigError: another shape, or a value that is NaN, infinite or too large for float32; the entry is named.
    """
    with np.errstate(over="ignore"):
        ego_E, peers_NF = np.asarray(ego, dtype=np.float32), np.asarray(peers, dtype=np.float32)
    if ego_E.shape != (EGO_SIZE,):
        raise ConfigError(
            f"the ego has shape {ego_E.shape}; give {EGO_SIZE} numbers: {', '.join(feature.name for feature in EGO_FEATURES)}"
        )
    if peers_NF.ndim != 2 or peers_NF.shape[1] != PEER_SIZE:
        names = ", ".join(feature.name for feature in PEER_FEATURES)
        raise ConfigError(f"the peers have shape {peers_NF.shape}; give (n, {PEER_SIZE}), also when n is 0: {names}")
    for column in np.flatnonzero(~np.isfinite(ego_E)).tolist():
        raise ConfigError(f"the ego's {EGO_FEATURES[column].name} is {ego_E[column]}; give finite numbers")
    for row, column in np.argwhere(~np.isfinite(peers_NF)).tolist():
        raise ConfigError(f"{PEER_FEATURES[column].name} of peer {row} is {peers_NF[row, column]}; leave that peer out")
    return ego_E, peers_NF


def network_entries(ego_E: FloatArray, peers_NF: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Physical values as the observation entries that the network was trained on: divided by their scales in double precision."""
    ego = (ego_E.astype(np.float64) / EGO_SCALES).astype(np.float32)
    peers = (peers_NF.astype(np.float64) / PEER_SCALES).astype(np.float32)
    return ego, peers


def decision(parameters: FloatArray) -> Decision:
    """The decision of an artifact that ends at the action parameters."""
    return Decision(parameters=parameters, action=float(deterministic_action(parameters)))
