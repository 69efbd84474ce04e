"""RLlib's PPO learner, with the peers of a batch laid end to end once, not again for every minibatch of every epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.connectors.learner.general_advantage_estimation import GeneralAdvantageEstimation
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.learner import Learner
from ray.rllib.utils.annotations import override

from roadsense.model.packing import PackedPeers


class PackPeers(ConnectorV2):
    """Gives every module the packed peers of the whole batch, and leaves the numbers of its rows in the batch: `obs.peers` (B,) int64.

    RLlib shuffles and slices row numbers as quickly as any tensor; the module picks the peers of a minibatch by them.
    """

    def __call__(self, *, rl_module: Any, batch: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        """Replace the peer sets of every module's batch."""
        for module_id, columns in batch.items():
            observations = columns[Columns.OBS]
            packed = PackedPeers.of(np.asarray(observations["peers"], dtype=object)).to(observations["ego"].device)
            rl_module[module_id].unwrapped().packed = packed
            columns[Columns.OBS] = {**observations, "peers": torch.arange(packed.rows, device=observations["ego"].device)}
        return batch


class ConvoyLearner(PPOTorchLearner):
    """PPO's learner with `PackPeers` in its pipeline, before the advantages are estimated. Losses and updates are RLlib's."""

    @override(Learner)
    def build(self) -> None:
        """Build as RLlib does, and put the piece in its place."""
        super().build()
        self._learner_connector.insert_before(GeneralAdvantageEstimation, PackPeers())
