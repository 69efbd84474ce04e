"""What a user would pick instead: Stable-Baselines3's PPO with SubprocVecEnv over the same environment, on padded peer sets.

Purpose: the figure beside ours in `roadsense bench`. The environment, the road, the width of the network, batch, minibatch and epochs are
the same; the observation has to have one size here, so peers are padded to the largest set and laid flat, with a mask.

How to run: python benchmarks/sb3_training.py ROAD.sumocfg --iterations 3 --environments 2,4,8
What to expect: JSON on the last line, steps/s by number of environments, learner included.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import gymnasium
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import SubprocVecEnv

from roadsense.bench.environment import CALM
from roadsense.env.convoy_env import ConvoyEnv
from roadsense.features import EGO_SIZE, PEER_SIZE

BATCH, MINIBATCH, EPOCHS, WIDTH = 8192, 1024, 6, 64
MOST_PEERS = 10


class PaddedEnv(gymnasium.Wrapper):
    """The convoy environment with a flat observation: ego, then MOST_PEERS rows of a mask and a peer's features."""

    def __init__(self, env: ConvoyEnv) -> None:
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (EGO_SIZE + MOST_PEERS * (1 + PEER_SIZE),), np.float32)

    def reset(self, **kwargs):
        """As Gymnasium says."""
        observation, info = self.env.reset(**kwargs)
        return self._flat(observation), info

    def step(self, action):
        """As Gymnasium says; infos stay empty, as in our training."""
        observation, reward, terminated, truncated, _ = self.env.step(action)
        return self._flat(observation), reward, terminated, truncated, {}

    def _flat(self, observation):
        flat = np.zeros(self.observation_space.shape, np.float32)
        flat[:EGO_SIZE] = observation["ego"]
        values = observation["peers"].values[:MOST_PEERS]
        rows = flat[EGO_SIZE:].reshape(MOST_PEERS, 1 + PEER_SIZE)
        rows[: len(values), 0] = 1.0
        rows[: len(values), 1:] = values
        return flat


class Clock(BaseCallback):
    """When each iteration began."""

    def __init__(self) -> None:
        super().__init__()
        self.began_s: list[float] = []

    def _on_rollout_start(self) -> None:
        self.began_s.append(time.perf_counter())

    def _on_step(self) -> bool:
        return True


def steps_per_s(config: Path, environments: int, iterations: int) -> float:
    """Median over the iterations after the first."""

    def maker(seed: int):
        return lambda: PaddedEnv(ConvoyEnv(sumo_cfg=config, scenario_seed=seed, task=CALM))

    made = SubprocVecEnv([maker(seed) for seed in range(environments)])
    try:
        model = PPO(
            "MlpPolicy",
            made,
            n_steps=BATCH // environments,
            batch_size=MINIBATCH,
            n_epochs=EPOCHS,
            # Actions near 0: the cars drive, as with our untrained policy.
            policy_kwargs={"net_arch": [WIDTH, WIDTH], "log_std_init": -4.0},
            device="cpu",
            seed=1,
        )
        clock = Clock()
        model.learn(BATCH * (iterations + 2), callback=clock)
    finally:
        made.close()
    times_s = np.diff(clock.began_s)[1:]
    return BATCH / statistics.median(times_s.tolist())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--environments", default="2,4,8")
    flags = parser.parse_args()
    rates = {count: steps_per_s(flags.config, int(count), flags.iterations) for count in flags.environments.split(",")}
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
