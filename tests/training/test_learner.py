"""Peers packed once per batch: the same rows, the same updates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from roadsense.errors import ConfigError
from roadsense.features import EGO_SIZE, PEER_SIZE
from roadsense.model.packing import PackedPeers, pack
from roadsense.model.settings import ModelSettings
from roadsense.peer_set import PRIVILEGED, PeerSet, action_space, training_observation_space
from roadsense.training import learner as learner_file
from roadsense.training.learner import ConvoyLearner
from roadsense.training.rl_module import rl_module_spec

TOLD = 4


def peer_sets(counts, rng):
    return [PeerSet(rng.normal(size=(count, PEER_SIZE))) for count in counts]


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 5], [5, 2, 2, 0], [3], [4, 4], [1]])
def test_rows_are_taken_as_if_they_were_packed_alone(rows):
    sets = peer_sets([2, 0, 3, 1, 0, 4], np.random.default_rng(1))
    values, counts = PackedPeers.of(sets).take(torch.tensor(rows))
    expected_values, expected_counts = pack([sets[row] for row in rows])
    assert torch.equal(values, expected_values) and torch.equal(counts, expected_counts)


def episodes(rng):
    made = []
    for length in (40, 25, 35):
        observations = [
            {
                "ego": rng.normal(size=EGO_SIZE).astype(np.float32),
                "peers": PeerSet(rng.normal(size=(int(rng.integers(5)), PEER_SIZE))),
                PRIVILEGED: rng.normal(size=TOLD).astype(np.float32),
            }
            for _ in range(length + 1)
        ]
        braking = rng.random(length) < 0.3
        made.append(
            SingleAgentEpisode(
                observations=observations,
                actions=[np.array([0.5 * brakes], np.float32) for brakes in braking],
                rewards=rng.normal(size=length).tolist(),
                extra_model_outputs={
                    Columns.ACTION_DIST_INPUTS: [np.array([-1.0, 0.5, 0.5], np.float32)] * length,
                    Columns.ACTION_LOGP: [np.float32(-0.3)] * length,
                },
                observation_space=training_observation_space(TOLD),
                action_space=action_space(),
                terminated=True,
                len_lookback_buffer=0,
            ).to_numpy()
        )
    return made


def updated(learner_class):
    torch.manual_seed(3)
    config = PPOConfig().environment(observation_space=training_observation_space(TOLD), action_space=action_space())
    config.learners(learner_class=learner_class).training(minibatch_size=32, num_epochs=3, lr=1e-2)
    config.rl_module(rl_module_spec=rl_module_spec(ModelSettings(), privileged_size=TOLD))
    learner = config.build_learner(env=None, spaces=None)
    learner.update(
        episodes=episodes(np.random.default_rng(2)), timesteps={"num_env_steps_sampled_lifetime": 100}, num_epochs=3, minibatch_size=32
    )
    return {name: weight.detach().clone() for name, weight in learner.module["default_policy"].unwrapped().named_parameters()}


def test_updates_are_those_of_rllibs_learner(monkeypatch):
    packings = []
    real = PackedPeers.of.__func__
    monkeypatch.setattr(learner_file.PackedPeers, "of", classmethod(lambda cls, cells: packings.append(len(cells)) or real(cls, cells)))
    ours, theirs = updated(ConvoyLearner), updated(PPOTorchLearner)
    assert packings == [103], "once, with a bootstrap row per episode"
    assert set(ours) == set(theirs)
    for name, weight in ours.items():
        assert torch.equal(weight, theirs[name]), name


def test_row_numbers_without_a_packed_batch_are_refused():
    module = rl_module_spec(ModelSettings()).build()
    with pytest.raises(ConfigError, match="ConvoyLearner"):
        module.forward_train({Columns.OBS: {"ego": torch.zeros(2, EGO_SIZE), "peers": torch.arange(2)}})
