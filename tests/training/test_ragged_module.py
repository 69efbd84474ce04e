"""The network inside RLlib's env runner and learner, in this process."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from roadsense.errors import ConfigError
from roadsense.features import EGO_SIZE, PEER_SIZE
from roadsense.model.action import deterministic_action
from roadsense.model.settings import ModelSettings
from roadsense.peer_set import PeerSet, action_space, cell_array, observation_space
from roadsense.training import rl_module as rl_module_file
from roadsense.training.connectors import lean_connectors
from roadsense.training.rl_module import DeepSetsModule, rl_module_spec


class Signals(gym.Env):
    """0 to 5 random peers; the ego's first entry counts the steps of the episode."""

    def __init__(self, config: Any = None) -> None:
        self.observation_space = observation_space()
        self.action_space = action_space()
        self.steps = 0

    def observe(self) -> dict[str, Any]:
        ego = np.array([self.steps, 0.0, 0.0], np.float32)
        return {"ego": ego, "peers": PeerSet(self.np_random.normal(size=(int(self.np_random.integers(6)), PEER_SIZE)))}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict[str, Any], dict]:
        super().reset(seed=seed)
        self.steps = 0
        return self.observe(), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict]:
        assert action in self.action_space
        self.steps += 1
        return self.observe(), -float(action[0]), self.steps >= 13, False, {}


def make_config(model: ModelSettings, **env_runner_options: Any) -> PPOConfig:
    config = PPOConfig()
    config.environment(Signals, normalize_actions=False, clip_actions=False)
    config.env_runners(num_env_runners=0, num_envs_per_env_runner=3, **env_runner_options)
    config.rl_module(rl_module_spec=rl_module_spec(model))
    config.training(minibatch_size=64, num_epochs=3)
    config.debugging(seed=5)
    return config


def make_module(settings: ModelSettings | None = None, *, inference_only: bool = False) -> DeepSetsModule:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    spec = rl_module_spec(settings or ModelSettings())
    spec.inference_only = inference_only
    return spec.build()


def make_batch(counts: list[int]) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    ego = torch.from_numpy(rng.normal(size=(len(counts), EGO_SIZE)).astype(np.float32))
    peers = cell_array([PeerSet(rng.normal(size=(count, PEER_SIZE))) for count in counts])
    return {Columns.OBS: {"ego": ego, "peers": peers}}


def sample(explore: bool, **options: Any) -> list[SingleAgentEpisode]:
    runner = SingleAgentEnvRunner(config=make_config(ModelSettings(initial_brake_probability=0.5), **options), worker_index=0)
    try:
        return [episode for _ in range(3) for episode in runner.sample(num_timesteps=60, explore=explore)]
    finally:
        runner.stop()


@pytest.mark.parametrize("explore", [True, False])
def test_lean_connectors_give_the_same_samples(explore: bool) -> None:
    """The same seed through RLlib's nine pieces and through our two: every number of every episode is the same."""
    default, lean = sample(explore), sample(explore, **lean_connectors())
    assert [len(episode) for episode in lean] == [len(episode) for episode in default]
    assert sum(map(len, default)) >= 180
    for ours, theirs in zip(lean, default, strict=True):
        np.testing.assert_array_equal(ours.get_observations()["ego"], theirs.get_observations()["ego"])
        assert list(ours.get_observations()["peers"]) == list(theirs.get_observations()["peers"])
        np.testing.assert_array_equal(ours.get_actions(), theirs.get_actions())
        np.testing.assert_array_equal(ours.get_rewards(), theirs.get_rewards())
        for column in (Columns.ACTION_LOGP, Columns.ACTION_DIST_INPUTS):
            np.testing.assert_array_equal(ours.get_extra_model_outputs(column), theirs.get_extra_model_outputs(column))
    actions = np.concatenate([episode.get_actions() for episode in lean])
    assert actions.shape[1:] == (1,)
    assert actions.dtype == np.float32
    if explore:
        assert 0.3 < (actions > 0).mean() < 0.7


def test_evaluation_follows_the_deterministic_rule() -> None:
    for episode in sample(False, **lean_connectors()):
        parameters = episode.get_extra_model_outputs(Columns.ACTION_DIST_INPUTS)
        np.testing.assert_array_equal(np.ravel(episode.get_actions()), deterministic_action(torch.from_numpy(parameters)).numpy())


def test_the_first_loss_finds_the_sampled_log_densities() -> None:
    """What the learner computes before its first step is what the env runner recorded: the ratio starts at 1."""
    config = make_config(ModelSettings(initial_brake_probability=0.3), **lean_connectors())
    runner = SingleAgentEnvRunner(config=config, worker_index=0)
    learner = config.build_learner(spaces=runner.get_spaces())
    runner.set_state({"rl_module": learner.get_state(components="rl_module", inference_only=True)["rl_module"]})
    batch = learner._learner_connector(rl_module=learner.module, batch={}, episodes=runner.sample(num_timesteps=90), shared_data={})
    runner.stop()
    module, batch = learner.module["default_policy"], batch["default_policy"]
    output = module.forward_train(batch)
    distribution = module.get_train_action_dist_cls().from_logits(output[Columns.ACTION_DIST_INPUTS])
    real = batch[Columns.LOSS_MASK]
    torch.testing.assert_close(distribution.logp(batch[Columns.ACTIONS])[real], batch[Columns.ACTION_LOGP][real], rtol=0, atol=2e-6)
    torch.testing.assert_close(module.compute_values(batch), module.compute_values(batch, output[Columns.EMBEDDINGS]), rtol=0, atol=0)
    assert torch.isfinite(distribution.logp(batch[Columns.ACTIONS])).all(), (
        "rows added for bootstrapping enter the gradient as 0 times this"
    )


def test_the_learner_sends_no_critic() -> None:
    module, acting = make_module(), make_module(inference_only=True)
    sent = module.get_state(inference_only=True)
    assert set(sent) == set(acting.get_state()) == {f"network.{name}" for name in ModelSettings().acting_shapes()}
    acting.set_state(sent)
    batch = make_batch([3, 0, 1])
    expected = module.forward_inference(batch)[Columns.ACTION_DIST_INPUTS]
    torch.testing.assert_close(acting.forward_inference(batch)[Columns.ACTION_DIST_INPUTS], expected, rtol=0, atol=0)
    assert not acting.forward_exploration(batch)[Columns.ACTION_DIST_INPUTS].requires_grad


@pytest.mark.parametrize("shared_encoder", [False, True])
def test_module_checkpoints_restore(tmp_path: Any, shared_encoder: bool) -> None:
    module = make_module(ModelSettings(pool="max+mean", trunk_width=16, shared_encoder=shared_encoder))
    module.save_to_path(tmp_path / "module")
    restored = DeepSetsModule.from_checkpoint(tmp_path / "module")
    batch = make_batch([3, 0, 1])
    for column in (Columns.ACTION_DIST_INPUTS, Columns.EMBEDDINGS):
        torch.testing.assert_close(restored.forward_train(batch)[column], module.forward_train(batch)[column], rtol=0, atol=0)


def test_modes_change_nothing_but_the_flag() -> None:
    module = make_module()
    assert module.eval() is module
    assert not module.training
    assert module.train().training


def test_spaces_and_settings_that_do_not_fit_are_refused() -> None:
    spec = rl_module_spec(ModelSettings())
    spec.observation_space = gym.spaces.Dict({"ego": gym.spaces.Box(-1, 1, (2,))})
    with pytest.raises(ConfigError, match="observation_space"):
        spec.build()
    spec = rl_module_spec(ModelSettings())
    spec.action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    with pytest.raises(ConfigError, match="action_space"):
        spec.build()
    spec = rl_module_spec(ModelSettings())
    spec.model_config["model_settings"]["peer_width"] = 0
    with pytest.raises(ConfigError, match="peer_width"):
        spec.build()


def test_errors_in_setup_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """RLModuleSpec.build takes any AttributeError for an outdated constructor and reports that instead."""

    def broken(*_: Any, **__: Any) -> None:
        raise AttributeError("the real cause")

    monkeypatch.setattr(rl_module_file, "DeepSets", broken)
    spec: RLModuleSpec = rl_module_spec(ModelSettings())
    with pytest.raises(RuntimeError, match="the real cause"):
        spec.build()
