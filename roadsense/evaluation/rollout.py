"""One policy drives one episode."""

from __future__ import annotations

import numpy as np

from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.episodes import EpisodePlan, evaluation_plan
from roadsense.env.record import EpisodeRecord
from roadsense.errors import SumoError
from roadsense.evaluation.reference import Policy, PrivilegedPolicy
from roadsense.seeding import stream

# An episode follows from its identity alone, so one that a dying simulator cut short can simply be played again.
_ATTEMPTS = 3


def play_evaluation_episode(env: ConvoyEnv, policy: Policy, scenario_id: str, round_index: int) -> EpisodeRecord:
    """Play one episode of the fixed list.

    Raises:
        UsageError: the dataset has no such scenario.
        SumoError: SUMO failed in every one of three attempts.
    """
    return play_episode(env, policy, evaluation_plan(env.dataset, scenario_id, round_index))


def play_episode(env: ConvoyEnv, policy: Policy, plan: EpisodePlan) -> EpisodeRecord:
    """Play the planned episode, of either split, from its first decision to its end. A privileged policy is attached to `env`.

    Raises:
        SumoError: SUMO failed in every one of three attempts.
    """
    attempt = 1
    while True:
        policy.begin(stream(plan.identity, "policy"))
        try:
            return _play(env, policy, plan)
        except SumoError:
            if attempt == _ATTEMPTS:
                raise
            attempt += 1


def _play(env: ConvoyEnv, policy: Policy, plan: EpisodePlan) -> EpisodeRecord:
    observation, _ = env.reset(options={"identity": plan.identity.label(), "scenario_id": plan.scenario.scenario_id})
    if isinstance(policy, PrivilegedPolicy):
        policy.attach(env)
    while True:
        action = np.array([policy(observation)], dtype=np.float32)
        observation, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            record: EpisodeRecord = info["record"]
            return record
