"""From observations to actions within an env runner, as the lean connectors do it and without RLlib's batches.

Shape suffixes: K environments, N rows, S peers of all environments together, E ego features, F peer features, I inputs made of the ego, J
inputs of the peer encoder.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from roadsense.model.action import deterministic_action
from roadsense.model.deep_sets import DeepSets
from roadsense.model.distribution import GatedBeta
from roadsense.model.forward import beside_ego, encoded_peers, layers_of, squashed_rows, through_trunk
from roadsense.model.packing import pack_arrays
from roadsense.peer_set import PeerSet
from roadsense.training.fragment import Act

FloatArray = NDArray[np.float32]


def act_with(network: DeepSets, *, explore: bool) -> Act:
    """Draw actions from the network's distribution, with torch's global generator, or follow the deterministic rule."""
    # The modules' own calls would cost as much as their numbers.
    encoder, trunk, kind = layers_of(network.peer_encoder), layers_of(network.actor), network.settings.pool
    settings = network.settings
    withheld, mirrors, sees_ego = settings.withheld_inputs, settings.mirror_peers, settings.ego_in_encoder

    def act(ego_KE: FloatArray, peers_K: list[PeerSet]) -> tuple[FloatArray, FloatArray]:
        with torch.inference_mode():
            values_SF, counts_K = pack_arrays(peers_K)
            ego_KI, inputs_SJ = squashed_rows(ego_KE), squashed_rows(values_SF, withheld, mirrors=mirrors)
            peer_counts_K = torch.from_numpy(counts_K)
            if sees_ego:
                inputs_SJ = beside_ego(inputs_SJ, ego_KI, peer_counts_K)
            parameters_K3 = through_trunk((ego_KI, encoded_peers(inputs_SJ, peer_counts_K, encoder, kind)), trunk)
            action_K = GatedBeta(parameters_K3).sample() if explore else deterministic_action(parameters_K3)
        return action_K.numpy()[:, None], parameters_K3.numpy()

    return act


def log_density(parameters_N3: FloatArray, action_N1: FloatArray) -> FloatArray:
    """Log densities (N,) of the actions under the distributions from which they were drawn."""
    with torch.inference_mode():
        density: FloatArray = GatedBeta(torch.from_numpy(parameters_N3)).log_prob(torch.from_numpy(action_N1[:, 0])).numpy()
    return density
