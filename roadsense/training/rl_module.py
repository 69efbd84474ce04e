"""The network as RLlib sees it.

RLlib never looks into a peer set: its connectors, its advantage estimation, its shuffling and its transport carry object arrays. This
module packs them when they reach the network.
"""

from __future__ import annotations

from typing import Any, Final, Self

import numpy as np
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI, ValueFunctionAPI
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from roadsense.errors import ConfigError
from roadsense.model.deep_sets import DeepSets
from roadsense.model.packing import PackedPeers, pack
from roadsense.model.settings import ModelSettings
from roadsense.peer_set import PRIVILEGED, action_space, observation_space, training_observation_space
from roadsense.training.action_distribution import TorchGatedBeta

Batch = dict[str, Any]

_SETTINGS_KEY: Final = "model_settings"  # RLlib merges options of its own into model_config


class DeepSetsModule(TorchRLModule, InferenceOnlyAPI, ValueFunctionAPI):
    """Deep Sets with the gated Beta distribution; `model_config` holds dumped `ModelSettings`.

    Env runners hold no critic. Exploration, inference and training differ only in what is computed: no layer depends on a mode.
    """

    network: DeepSets
    packed: PackedPeers | None = None  # the peers of the learner's present batch, see roadsense.training.learner

    def setup(self) -> None:
        """Build the network; raises ConfigError for spaces or settings that do not fit."""
        try:
            _check_spaces(self.observation_space, self.action_space)
            settings = ModelSettings.parse((self.model_config or {}).get(_SETTINGS_KEY, {}), _SETTINGS_KEY)
            # RLlib's own removal of what inference does not need fails on attributes of attributes, so the critic is never built.
            self.network = DeepSets(
                settings, acting_only=bool(self.inference_only), privileged_size=_privileged_size(self.observation_space)
            )
        except AttributeError as problem:
            # RLModuleSpec.build takes an AttributeError for an old-style constructor and hides it behind a second, unrelated error.
            raise RuntimeError(f"building the network failed: {problem}") from problem
        self.action_dist_cls = TorchGatedBeta

    def get_non_inference_attributes(self) -> list[str]:
        """The critic: the learner leaves it out of the weights it sends to env runners."""
        return ["network.critic_encoder", "network.critic"]

    def train(self, mode: bool = True) -> Self:
        """Set the flag alone: RLlib calls this twice per environment step, and walking the tree costs as much as a layer."""
        self.training = mode
        return self

    def compute_values(self, batch: Batch, embeddings: Tensor | None = None) -> Tensor:
        """Values (B,); those that `_forward_train` computed on the way are handed back as they are."""
        return self.network.value(*self._inputs(batch), _privileged(batch)) if embeddings is None else embeddings

    def _forward(self, batch: Batch, **_kwargs: Any) -> Batch:
        return {Columns.ACTION_DIST_INPUTS: self.network.action_parameters(*self._inputs(batch))}

    def _forward_train(self, batch: Batch, **_kwargs: Any) -> Batch:
        action_parameters_B3, value_B = self.network(*self._inputs(batch), _privileged(batch))
        # The loss passes the embeddings to compute_values; the values themselves spare a second packing.
        return {Columns.ACTION_DIST_INPUTS: action_parameters_B3, Columns.EMBEDDINGS: value_B}

    def _inputs(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        observations = batch[Columns.OBS]
        ego_BE: Tensor = observations["ego"]
        peers = observations["peers"]
        if isinstance(peers, Tensor):
            if self.packed is None:
                raise ConfigError("the batch holds row numbers where peers should be, and nothing was packed; train with ConvoyLearner")
            return ego_BE, *self.packed.take(peers)
        values_SF, counts_B = pack(np.asarray(peers, dtype=object))
        return ego_BE, values_SF.to(ego_BE.device), counts_B.to(ego_BE.device)


def rl_module_spec(settings: ModelSettings, *, privileged_size: int = 0) -> RLModuleSpec:
    """The specification for `config.rl_module(rl_module_spec=...)`; with `privileged_size` entries for the critic in the observations.

    The configuration must say `environment(normalize_actions=False, clip_actions=False)`: RLlib would otherwise take actions for
    centred on 0 and stretch [0, 1] before they reach the environment.
    """
    return RLModuleSpec(
        module_class=DeepSetsModule,
        observation_space=training_observation_space(privileged_size) if privileged_size else observation_space(),
        action_space=action_space(),
        model_config={_SETTINGS_KEY: settings.model_dump()},
    )


def _privileged(batch: Batch) -> Tensor | None:
    privileged_BV: Tensor | None = batch[Columns.OBS].get(PRIVILEGED)
    return privileged_BV


def _privileged_size(observed: Any) -> int:
    return int(observed[PRIVILEGED].shape[0]) if PRIVILEGED in observed.spaces else 0


def _check_spaces(observed: Any, acted: Any) -> None:
    told = getattr(observed, "spaces", {}).get(PRIVILEGED)
    if observed != (observation_space() if told is None else training_observation_space(told.shape[0])):
        raise ConfigError(f"the module cannot read {observed}; use roadsense.peer_set.observation_space()")
    if acted != action_space():
        raise ConfigError(f"the module cannot act in {acted}; use roadsense.peer_set.action_space()")
