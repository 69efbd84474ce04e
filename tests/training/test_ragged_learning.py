"""Real PPO on a toy task over ragged sets: it learns, it repeats itself, it comes back from a checkpoint."""

from __future__ import annotations

import os
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
from roadsense.model.inference import Policy
from roadsense.model.policy_file import load_policy, save_policy
from roadsense.model.settings import ModelSettings
from roadsense.model.weights import weights_sha256
from roadsense.peer_set import PeerSet, action_space, observation_space
from roadsense.training.connectors import lean_connectors
from roadsense.training.rl_module import DeepSetsModule, rl_module_spec

DANGER = PEER_COLUMN["accel_mps2"]
HARD = 0.7
ITERATIONS = 12


def most_urgent(observation: dict[str, Any]) -> float:
    return float(observation["peers"].values[:, DANGER].max(initial=-1.0))


def reward_of(observation: dict[str, Any], action: float) -> float:
    """Brake by 0.7 exactly when any peer's entry is above 0.5; nothing else in the observation matters."""
    return -abs(action - (HARD if most_urgent(observation) > 0.5 else 0.0))


def random_observation(rng: np.random.Generator) -> dict[str, Any]:
    peers = rng.uniform(-1.0, 1.0, (int(rng.integers(6)), PEER_SIZE))
    return {"ego": rng.uniform(-1.0, 1.0, 3).astype(np.float32), "peers": PeerSet(peers)}


def make_environment(_context: Any) -> gym.Env:
    # A class inside a function travels to Ray's workers by value: they cannot import this file.
    class Alarm(gym.Env):
        def __init__(self) -> None:
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

    return Alarm()


def make_algorithm() -> PPO:
    config = PPOConfig()
    config.environment("ragged-alarm", normalize_actions=False, clip_actions=False)
    config.env_runners(num_env_runners=2, num_envs_per_env_runner=3, rollout_fragment_length=200, **lean_connectors())
    config.rl_module(rl_module_spec=rl_module_spec(ModelSettings(peer_width=32, trunk_width=32)))
    config.training(
        train_batch_size=1200, minibatch_size=200, num_epochs=8, lr=3e-3, gamma=0.0, lambda_=0.0, use_kl_loss=False, entropy_coeff=0.003
    )
    config.debugging(seed=3, log_level="ERROR")
    return config.build_algo()
