"""Real PPO on a toy task over ragged sets: it learns, it repeats itself, it comes back from a checkpoint."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import ray
import torch
from ray.rllib.algorithms.ppo import PPO, PPOConfig

from roadsense.features import PEER_COLUMN, PEER_SIZE
from roadsense.model.deep_sets import DeepSets
from roadsense.model.policy_file import load_policy, save_policy
from roadsense.model.settings import ModelSettings
from roadsense.model.weights import weights_sha256
from roadsense.peer_set import PeerSet, action_space, cell_array, observation_space
from roadsense.training.connectors import lean_connectors
from roadsense.training.rl_module import DeepSetsModule, rl_module_spec

DANGER = PEER_COLUMN["accel_mps2"]
HARD = 0.7
ITERATIONS = 14


def most_urgent(observation: dict[str, Any]) -> float:
    return float(observation["peers"].values[:, DANGER].max(initial=-1.0))


def reward_of(observation: dict[str, Any], action: float) -> float:
    """Brake by 0.7 exactly when any peer's entry is above 0.5; nothing else in the observation matters."""
    return -abs(action - (HARD if most_urgent(observation) > 0.5 else 0.0))


def random_observation(rng: np.random.Generator) -> dict[str, Any]:
    peers = rng.uniform(-1.0, 1.0, (int(rng.integers(6)), PEER_SIZE))
    return {"ego": rng.uniform(-1.0, 1.0, 3).astype(np.float32), "peers": PeerSet(peers)}


class Alarm(gym.Env):
    """25 steps, each with observations of their own."""

    def __init__(self, config: Any = None) -> None:
        self.observation_space = observation_space()
        self.action_space = action_space()

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict[str, Any], dict]:
        super().reset(seed=seed)
        self.steps = 0
        self.seen = random_observation(self.np_random)
        return self.seen, {}

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict]:
        self.steps += 1
        reward = reward_of(self.seen, float(action[0]))
        self.seen = random_observation(self.np_random)
        return self.seen, reward, False, self.steps >= 25, {}


def make_algorithm() -> PPO:
    config = PPOConfig()
    config.environment(Alarm, normalize_actions=False, clip_actions=False)
    config.env_runners(num_env_runners=2, num_envs_per_env_runner=3, rollout_fragment_length=200, **lean_connectors())
    config.env_runners(num_cpus_per_env_runner=0.5)  # the runners of both algorithms fit on two cores
    config.rl_module(rl_module_spec=rl_module_spec(ModelSettings(peer_width=32, trunk_width=32)))
    config.training(train_batch_size=1200, minibatch_size=200, num_epochs=8, lr=1e-3, gamma=0.0, lambda_=0.0)
    config.training(use_kl_loss=False, entropy_coeff=0.003, grad_clip=0.5, grad_clip_by="global_norm")
    config.debugging(seed=3, log_level="ERROR")
    return config.build_algo()


def acting_fingerprints(algorithm: PPO) -> list[str]:
    """Of the driver's module and of every env runner's."""
    algorithm.env_runner_group.sync_weights(from_worker_or_learner_group=algorithm.learner_group, inference_only=True)
    return algorithm.env_runner_group.foreach_env_runner(lambda runner: weights_sha256(runner.module.network))


def learner_state(algorithm: PPO) -> dict[str, np.ndarray]:
    return algorithm.learner_group.get_state()["learner"]["rl_module"]["default_policy"]


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    this_file = sys.modules[__name__]
    ray.cloudpickle.register_pickle_by_value(this_file)  # workers cannot import it
    torch.set_num_threads(1)
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    yield
    ray.shutdown()
    ray.cloudpickle.unregister_pickle_by_value(this_file)


@pytest.fixture(scope="module")
def after_two() -> dict[str, dict[str, np.ndarray]]:
    """The whole state of the learner after two iterations, by run."""
    return {}


@pytest.fixture(scope="module")
def trained(after_two: dict[str, dict[str, np.ndarray]]) -> Iterator[PPO]:
    algorithm = make_algorithm()
    for iteration in range(ITERATIONS):
        algorithm.train()
        if iteration == 1:
            after_two["first"] = learner_state(algorithm)
    yield algorithm
    algorithm.stop()


@pytest.fixture(scope="module")
def twin(trained: PPO, after_two: dict[str, dict[str, np.ndarray]]) -> Iterator[PPO]:
    """The same run once more, up to its second iteration."""
    algorithm = make_algorithm()
    for _ in range(2):
        algorithm.train()
    after_two["second"] = learner_state(algorithm)
    yield algorithm
    algorithm.stop()


def test_it_learns_when_to_brake_and_how_hard(trained: PPO, tmp_path: Path) -> None:
    """Judged by the packaged policy on observations it has never seen, against never braking and against the best constant answer."""
    path = tmp_path / "model_final.zip"
    save_policy(path, trained.get_module().network, {})
    policy = load_policy(path)
    rng = np.random.default_rng(99)
    seen = [random_observation(rng) for _ in range(2000)]
    learned = np.mean([reward_of(observation, policy(observation)) for observation in seen])
    never = np.mean([reward_of(observation, 0.0) for observation in seen])
    assert never < -0.25
    assert learned > 0.25 * never, f"mean reward {learned:.3f}, never braking {never:.3f}"
    large = [{"ego": np.zeros(3, np.float32), "peers": PeerSet(rng.uniform(-1.0, 0.3, (40, PEER_SIZE)))} for _ in range(100)]
    assert np.mean([policy(observation) == 0.0 for observation in large]) > 0.9, "sets larger than any in training"


def test_every_worker_acts_with_the_learners_weights(trained: PPO) -> None:
    fingerprints = acting_fingerprints(trained)
    assert len(fingerprints) == 3
    assert len(set(fingerprints)) == 1
    network = DeepSets(trained.get_module().network.settings)
    network.load_state_dict({name.removeprefix("network."): torch.tensor(array) for name, array in learner_state(trained).items()})
    assert weights_sha256(network) == fingerprints[0]


def test_evaluation_and_the_packaged_policy_act_alike(trained: PPO, tmp_path: Path) -> None:
    save_policy(tmp_path / "model_final.zip", trained.get_module().network, {})
    policy = load_policy(tmp_path / "model_final.zip")
    rng = np.random.default_rng(5)
    seen = [random_observation(rng) for _ in range(200)]
    egos = torch.from_numpy(np.stack([observation["ego"] for observation in seen]))
    module = trained.get_module()
    output = module.forward_inference({"obs": {"ego": egos, "peers": cell_array([observation["peers"] for observation in seen])}})
    distribution = module.get_inference_action_dist_cls().from_logits(output["action_dist_inputs"]).to_deterministic()
    np.testing.assert_allclose([policy(observation) for observation in seen], distribution.sample()[:, 0].numpy(), atol=2e-6)


def test_the_same_seed_gives_the_same_weights(twin: PPO, after_two: dict[str, dict[str, np.ndarray]]) -> None:
    first, second = after_two["first"], after_two["second"]
    assert list(first) == list(second)
    assert any("critic" in name for name in first)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


def test_checkpoints_bring_the_network_back(trained: PPO, twin: PPO, tmp_path: Path) -> None:
    trained.save_to_path(tmp_path / "checkpoint")
    assert weights_sha256(twin.get_module().network) != weights_sha256(trained.get_module().network)
    twin.restore_from_path(tmp_path / "checkpoint")
    for name, array in learner_state(trained).items():
        np.testing.assert_array_equal(array, learner_state(twin)[name], err_msg=name)
    assert set(acting_fingerprints(twin)) == {weights_sha256(trained.get_module().network)}
    module = DeepSetsModule.from_checkpoint(tmp_path / "checkpoint" / "learner_group" / "learner" / "rl_module" / "default_policy")
    assert weights_sha256(module.network) == weights_sha256(trained.get_module().network)
    twin.train()
