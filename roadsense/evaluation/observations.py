"""Observations as a policy meets them on the road: what exports are calibrated with and compared on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from roadsense.config import SumoSettings
from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.episodes import Assignment, TrainingEpisodes
from roadsense.env.observation import Observation
from roadsense.env.settings import TaskSettings
from roadsense.evaluation.reference import Policy
from roadsense.evaluation.rollout import play_episode
from roadsense.scenario.dataset import Dataset


class Recorder:
    """A policy that keeps every observation it was asked about.

    Args:
        policy: what decides.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.observations: list[Observation] = []

    def begin(self, rng: np.random.Generator, /) -> None:
        """A new episode starts."""
        self._policy.begin(rng)

    def __call__(self, observation: Observation, /) -> float:
        """The inner policy's action."""
        self.observations.append(observation)
        return self._policy(observation)


def recorded_observations(
    dataset: Dataset, policy: Policy, *, episodes: int, seed: int, emulator_params: Path | None, task: TaskSettings, sumo: SumoSettings
) -> list[list[Observation]]:
    """Every observation of some training episodes (training scenarios and draws, domain randomisation), by episode.

    Args:
        dataset: where the scenarios come from.
        policy: who drives.
        episodes: how many.
        seed: run seed of the draws; the same seed gives the same observations.
        emulator_params: radio parameter file; None is the packaged convoy profile.
        task: settings of the task.
        sumo: settings of the simulator.

    Raises:
        SumoError: SUMO failed in every one of three attempts.
    """
    env = ConvoyEnv(dataset=dataset, scenario_mode="train", emulator_params_path=emulator_params, task=task, sumo=sumo)
    source = TrainingEpisodes(dataset, Assignment(run_seed=seed))
    found = []
    try:
        for _ in range(episodes):
            recorder = Recorder(policy)
            play_episode(env, recorder, source.next())
            found.append(recorder.observations)
    finally:
        env.close()
    return found
