"""Sampling: our env runner with K environments against a plain loop of environment and network without RLlib."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from roadsense.bench.environment import CALM
from roadsense.bench.processes import in_processes
from roadsense.config import DEFAULT_EGO_ID, SumoSettings
from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.settings import TaskSettings
from roadsense.model.deep_sets import DeepSets
from roadsense.model.settings import ModelSettings
from roadsense.scenario.dataset import Dataset
from roadsense.training.acting import act_with
from roadsense.training.algorithm import ppo_config
from roadsense.training.env_runner import ConvoyEnvRunner, RolloutSettings
from roadsense.training.generations import Generations
from roadsense.training.settings import TrainSettings

# An untrained policy would brake in every seventh step and soon stand still; cars that drive are what training is made of.
_NETWORK = ModelSettings(initial_brake_probability=0.01)
_FRAGMENT = 256  # steps per environment between two returns, as in training with a batch of 8,192


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingSpeed:
    """Steps/s of processes at once, by K environments each; `loop` is the plain loop with one environment."""

    runner: dict[int, float]
    loop: float


def sampling_speed(config: Path, seconds: float, cores: list[int], environments: tuple[int, ...]) -> SamplingSpeed:
    """One process per entry of `cores`, each pinned; the sums over the processes."""
    return SamplingSpeed(
        runner={count: sum(in_processes(_runner, [(config, count, seconds)] * len(cores), cores)) for count in environments},
        loop=sum(in_processes(_loop, [(config, seconds)] * len(cores), cores)),
    )


def make_runner(config: Path, environments: int, directory: Path) -> ConvoyEnvRunner:
    """An env runner in this process, on a single scenario."""
    # RLlib warns of a class that it makes itself in every module; a training run silences it by its log level.
    logging.getLogger("ray._common.deprecation").setLevel(logging.ERROR)
    settings = TrainSettings(
        num_envs_per_env_runner=environments, n_steps=_FRAGMENT * environments, total_timesteps=10**9, model=_NETWORK, task=_calm()
    )
    rollout = RolloutSettings(
        dataset_dir=None,
        sumo_cfg=config,
        dataset_hash=Dataset.from_sumocfg(config).hash,
        ego_id=DEFAULT_EGO_ID,
        emulator_params=None,
        sumo=SumoSettings(),
        task=settings.task,
        run_seed=1,
        generation=1,
        num_workers=1,
    )
    return ConvoyEnvRunner(config=ppo_config(settings, rollout, 0, Generations(directory / "generations")), worker_index=0)


def _calm() -> TaskSettings:
    return TaskSettings.parse(CALM, "the benchmark's task")


def _runner(config: Path, environments: int, seconds: float) -> float:
    with TemporaryDirectory() as scratch:
        runner = make_runner(config, environments, Path(scratch))
        try:
            runner.sample()  # warm-up
            runner.get_metrics()
            steps, began_s = 0, time.perf_counter()
            while time.perf_counter() - began_s < seconds:
                steps += sum(len(episode) for episode in runner.sample())
                runner.get_metrics()
            return steps / (time.perf_counter() - began_s)
        finally:
            runner.stop()


def _loop(config: Path, seconds: float) -> float:
    torch.set_num_threads(1)
    act = act_with(DeepSets(_NETWORK, acting_only=True), explore=True)
    env = ConvoyEnv(sumo_cfg=config, task=CALM)
    try:
        steps, began_s = 0, 0.0
        while steps == 0 or time.perf_counter() - began_s < seconds:
            observation, _ = env.reset()
            done = False
            while not done:
                actions, _ = act(np.asarray(observation["ego"])[None], [observation["peers"]])
                observation, _, terminated, truncated, _ = env.step(actions[0])
                done = terminated or truncated
                steps += 1
            if began_s == 0.0:  # the first episode was the warm-up
                steps, began_s = 1, time.perf_counter()
        return steps / (time.perf_counter() - began_s)
    finally:
        env.close()
