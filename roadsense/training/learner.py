"""RLlib's PPO learner, with the peers of a batch laid end to end once, and with actor and critic side by side."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import torch
from ray.rllib.algorithms.ppo.ppo import (
    LEARNER_RESULTS_KL_KEY,
    LEARNER_RESULTS_VF_EXPLAINED_VAR_KEY,
    LEARNER_RESULTS_VF_LOSS_UNCLIPPED_KEY,
)
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.connectors.learner.general_advantage_estimation import GeneralAdvantageEstimation
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.learner import ENTROPY_KEY, POLICY_LOSS_KEY, VF_LOSS_KEY, Learner
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.evaluation.postprocessing import Postprocessing
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from ray.rllib.utils.annotations import override
from ray.rllib.utils.metrics import (
    ALL_MODULES,
    MODULE_TRAIN_BATCH_SIZE_MEAN,
    NUM_ENV_STEPS_TRAINED,
    NUM_ENV_STEPS_TRAINED_LIFETIME,
    NUM_MODULE_STEPS_TRAINED,
    NUM_MODULE_STEPS_TRAINED_LIFETIME,
    WEIGHTS_SEQ_NO,
)
from ray.rllib.utils.minibatch_utils import MiniBatchCyclicIterator
from ray.rllib.utils.torch_utils import explained_variance
from torch import Tensor

from roadsense.model.deep_sets import DeepSets
from roadsense.model.inputs import squashed
from roadsense.model.packing import PackedPeers
from roadsense.peer_set import PRIVILEGED
from roadsense.training.fragment import DRAWN
from roadsense.training.rl_module import DeepSetsModule
from roadsense.training.side_by_side import (
    ActorLearning,
    CriticLearning,
    Experience,
    LossSettings,
    can_learn_apart,
    learn_side_by_side,
)

_ROWS = "rows"


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


class NoAdvantageOfKept(ConnectorV2):
    """Takes the advantage from actions that were not drawn but kept from the step before: the policy did not choose them there.

    Their steps stay in what the advantages are estimated from, and the critic learns from them.
    """

    def __call__(self, *, batch: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        """Set the advantages to 0 where `DRAWN` is false, and drop that column; nothing where there is none."""
        for columns in batch.values():
            drawn = columns.pop(DRAWN, None)
            if drawn is None:
                continue
            columns[Postprocessing.ADVANTAGES] = torch.where(drawn, columns[Postprocessing.ADVANTAGES], 0.0)
            # Where it was not drawn an action may be all but impossible, and the ratio of two such densities overflow: it is 0 then.
            columns[Columns.ACTION_LOGP] = torch.where(drawn, columns[Columns.ACTION_LOGP], torch.inf)
        return batch


class ConvoyLearner(PPOTorchLearner):
    """PPO's learner with `PackPeers` and `NoAdvantageOfKept` around the estimation of advantages, and with actor and critic side by side.

    Losses, updates and metrics are RLlib's to the last bit (tests/training/test_learner.py). What `side_by_side` cannot do (a shared
    encoder, several learners, a graphics card, another loss or optimiser) goes RLlib's own way.
    """

    # The rows of the present batch's minibatches while it is learned side by side; None on RLlib's way.
    _minibatches: list[MultiAgentBatch] | None = None

    @override(Learner)
    def build(self) -> None:
        """Build as RLlib does, and put the pieces in their places."""
        super().build()
        self._learner_connector.insert_before(GeneralAdvantageEstimation, PackPeers())
        self._learner_connector.insert_after(GeneralAdvantageEstimation, NoAdvantageOfKept())

    @override(Learner)
    def _create_iterator_if_necessary(self, **arguments: Any) -> Iterable[MultiAgentBatch]:
        """RLlib's minibatches; side by side the whole batch once, while RLlib cuts and shuffles the numbers of its rows."""
        iterator = super()._create_iterator_if_necessary(**arguments)
        self._minibatches = None
        if not isinstance(iterator, MiniBatchCyclicIterator) or not self._learns_apart(iterator._batch):
            return cast("Iterable[MultiAgentBatch]", iterator)
        whole: MultiAgentBatch = iterator._batch
        rows = {module_id: SampleBatch({_ROWS: torch.arange(len(columns))}) for module_id, columns in whole.policy_batches.items()}
        iterator._batch = MultiAgentBatch(rows, env_steps=whole.env_steps())
        self._minibatches = list(iterator)
        return [whole]

    @override(TorchLearner)
    def _update(self, batch: dict[str, Any], **arguments: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if self._minibatches is None:
            return cast("tuple[dict[str, Any], dict[str, Any], dict[str, Any]]", super()._update(batch, **arguments))
        ((module_id, columns),) = batch.items()
        config = self.config.get_config_for_module(module_id)
        settings = LossSettings(
            clip_param=config.clip_param,
            vf_clip_param=config.vf_clip_param,
            vf_loss_coeff=config.vf_loss_coeff,
            entropy_coeff=self.entropy_coeff_schedulers_per_module[module_id].get_current_value(),
            grad_clip=config.grad_clip,
        )
        module = self.module[module_id]
        experience = _experience(columns, module.packed, module.network)
        minibatches = [minibatch[module_id][_ROWS] for minibatch in self._minibatches]
        actor, critic = learn_side_by_side(module.network, self.get_optimizer(module_id), experience, minibatches, settings)
        last_M = minibatches[-1]
        self._compute_off_policyness(
            {module_id: {name: columns[name][last_M] for name in (WEIGHTS_SEQ_NO, Columns.LOSS_MASK) if name in columns}}
        )
        total = self._log_losses(module_id, actor, critic, experience, last_M, settings)
        return {}, {module_id: total}, {}

    @override(Learner)
    def _log_metrics(self, batch: MultiAgentBatch) -> None:
        for minibatch in self._minibatches or (batch,):
            super()._log_metrics(minibatch)

    @override(Learner)
    def _log_steps_trained_metrics(self, batch: MultiAgentBatch) -> None:
        """Of all minibatches at once."""
        if self._minibatches is None:
            super()._log_steps_trained_metrics(batch)
            return
        log = self.metrics.log_value
        for module_id in batch.policy_batches:
            sizes = [len(minibatch[module_id]) for minibatch in self._minibatches]
            steps = sum(sizes)
            log((module_id, WEIGHTS_SEQ_NO), self._weights_seq_no, window=1)
            log((module_id, MODULE_TRAIN_BATCH_SIZE_MEAN), steps / len(sizes), reduce="mean")
            log((module_id, NUM_MODULE_STEPS_TRAINED), steps, reduce="sum")
            log((module_id, NUM_MODULE_STEPS_TRAINED_LIFETIME), steps, reduce="lifetime_sum", with_throughput=True)
            log((ALL_MODULES, NUM_MODULE_STEPS_TRAINED), steps, reduce="sum", with_throughput=True)
            log((ALL_MODULES, NUM_MODULE_STEPS_TRAINED_LIFETIME), steps, reduce="lifetime_sum", with_throughput=True)
        env_steps = sum(minibatch.env_steps() for minibatch in self._minibatches)
        log((ALL_MODULES, NUM_ENV_STEPS_TRAINED), env_steps, reduce="sum", with_throughput=True)
        log((ALL_MODULES, NUM_ENV_STEPS_TRAINED_LIFETIME), env_steps, reduce="lifetime_sum", with_throughput=True)

    def _learns_apart(self, batch: MultiAgentBatch) -> bool:
        """Whether actor and critic can be updated side by side and give what RLlib's update gives."""
        if len(batch.policy_batches) != 1 or len(self.module.keys()) != 1 or self.config.num_learners > 1:
            return False
        (module_id,) = batch.policy_batches
        config, module = self.config.get_config_for_module(module_id), self.module[module_id]
        clips_as_here = config.grad_clip is None or (config.grad_clip > 0 and config.grad_clip_by == "norm")
        plain_loss = config.use_critic and not config.use_kl_loss
        plain_step = not (config.log_gradients or config.torch_skip_nan_gradients or self._grad_scalers or self._lr_scheduler_classes)
        optimisers = self.get_optimizers_for_module(module_id)
        return (
            clips_as_here
            and plain_loss
            and plain_step
            and type(self).compute_loss_for_module is PPOTorchLearner.compute_loss_for_module
            and type(module) is DeepSetsModule
            and module.packed is not None
            and len(optimisers) == 1
            and can_learn_apart(optimisers[0][1], module.network)
        )

    def _log_losses(
        self,
        module_id: str,
        actor: ActorLearning,
        critic: CriticLearning,
        experience: Experience,
        last_M: Tensor,
        settings: LossSettings,
    ) -> Tensor:
        """What RLlib keeps of the last minibatch; returns its loss."""
        clipped_M = torch.clamp(critic.error, 0, settings.vf_clip_param)
        entries_M = -actor.surrogate + settings.vf_loss_coeff * clipped_M - settings.entropy_coeff * actor.entropy
        self.metrics.log_dict(
            {
                POLICY_LOSS_KEY: -experience.mean(actor.surrogate, last_M),
                VF_LOSS_KEY: experience.mean(clipped_M, last_M),
                LEARNER_RESULTS_VF_LOSS_UNCLIPPED_KEY: experience.mean(critic.error, last_M),
                LEARNER_RESULTS_VF_EXPLAINED_VAR_KEY: explained_variance(experience.value_target[last_M], critic.value),
                ENTROPY_KEY: experience.mean(actor.entropy, last_M),
                LEARNER_RESULTS_KL_KEY: torch.tensor(0.0),
            },
            key=module_id,
            window=1,
        )
        return experience.mean(entries_M, last_M)


def _experience(columns: dict[str, Any], packed: PackedPeers, network: DeepSets) -> Experience:
    """A module's batch after the pipeline."""
    observations = columns[Columns.OBS]
    ego = squashed(observations["ego"])
    return Experience(
        ego=ego,
        peers=PackedPeers(network.encoder_inputs(ego, packed.values, packed.counts), packed.starts, packed.counts),
        privileged=observations.get(PRIVILEGED),
        decides=columns.get(Columns.LOSS_MASK),
        action=columns[Columns.ACTIONS].squeeze(-1),
        action_logp=columns[Columns.ACTION_LOGP],
        advantage=columns[Postprocessing.ADVANTAGES],
        value_target=columns[Postprocessing.VALUE_TARGETS],
    )
