"""Lean pipelines between environments and network: one piece each way instead of RLlib's nine.

RLlib's default pieces keep lists by episode, walk nested structures and handle agents, time ranks and states; this task has none of
these. Samples are the same for the same seed (tests/training). The learner keeps RLlib's own pieces, the advantage estimation among them:
there they cost little.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.core.columns import Columns

from roadsense.peer_set import cell_array

Batch = dict[str, Any]


class ObserveLatest(ConnectorV2):
    """Env to module: the latest observation of each episode as one batch."""

    def __call__(self, *, episodes: list[Any], batch: Batch, **_kwargs: Any) -> Batch:
        """Add `obs`: {"ego": float32 tensor (B, E), "peers": object array (B,)}."""
        latest = [episode.get_observations(-1) for episode in episodes]
        ego_BE = torch.from_numpy(np.stack([observation["ego"] for observation in latest]))
        batch[Columns.OBS] = {"ego": ego_BE, "peers": cell_array([observation["peers"] for observation in latest])}
        return batch


class ChooseActions(ConnectorV2):
    """Module to env: sample when exploring, apply the deterministic rule otherwise."""

    def __call__(self, *, rl_module: Any, batch: Batch, explore: bool, **_kwargs: Any) -> Batch:
        """Arrays `actions` (B, 1), `action_logp` (B,) and `action_dist_inputs` (B, 3) in place of the network's tensors."""
        action_parameters = batch[Columns.ACTION_DIST_INPUTS]
        if explore:
            distribution = rl_module.get_exploration_action_dist_cls().from_logits(action_parameters)
        else:
            distribution = rl_module.get_inference_action_dist_cls().from_logits(action_parameters).to_deterministic()
        actions = distribution.sample()
        return {
            Columns.ACTION_DIST_INPUTS: action_parameters.cpu().numpy(),
            Columns.ACTIONS: actions.cpu().numpy(),
            Columns.ACTION_LOGP: distribution.logp(actions).cpu().numpy(),
        }


def lean_connectors() -> dict[str, Any]:
    """Keyword arguments for `config.env_runners(...)` that put these pieces in the place of the default ones."""
    return {
        "env_to_module_connector": _env_to_module,
        "module_to_env_connector": _module_to_env,
        "add_default_connectors_to_env_to_module_pipeline": False,
        "add_default_connectors_to_module_to_env_pipeline": False,
    }


def _env_to_module(_env: Any = None, _spaces: Any = None, _device: Any = None) -> list[ConnectorV2]:
    return [ObserveLatest()]


def _module_to_env(_env: Any = None, _spaces: Any = None) -> list[ConnectorV2]:
    return [ChooseActions()]
