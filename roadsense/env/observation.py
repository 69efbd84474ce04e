"""What the agent is told: its own noisy sensors, and the set of peers heard."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from roadsense.features import EGO_SCALES
from roadsense.peer_set import PeerSet
from roadsense.radio.observe import observe_peers
from roadsense.radio.radio import HeardPeers, OwnMeasurement

_SPEED_SCALE, _ACCEL_SCALE, _ACTION_SCALE = EGO_SCALES.tolist()


class Observation(TypedDict):
    """`ego`: float32 (E,), `peers`: the set of peers heard, any number of rows in no order."""

    ego: NDArray[np.float32]
    peers: PeerSet


def observe(own: OwnMeasurement, heard: HeardPeers, previous_action: float) -> Observation:
    """The observation at a decision; entries, units and scales are those of `roadsense.features`."""
    ego = np.array((own.speed_mps / _SPEED_SCALE, own.accel_mps2 / _ACCEL_SCALE, previous_action / _ACTION_SCALE), dtype=np.float32)
    return {"ego": ego, "peers": PeerSet.taking(observe_peers(own, heard))}
