"""One policy drives one episode."""

from __future__ import annotations

import numpy as np

from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.record import EpisodeRecord
from roadsense.errors import SumoError
from roadsense.evaluation.reference_policies import Policy
from roadsense.seeding import EvaluationIdentity, stream

# An episode follows from its identity alone, so one that a dying simulator cut short can simply be played again.
_ATTEMPTS = 3


def play_evaluation_episode(env: ConvoyEnv, policy: Policy, scenario_id: str, round_index: int) -> EpisodeRecord:
    """Play one episode of the fixed list.

    Raises:
        SumoError: SUMO failed in every one of three attempts.
    """
    identity = EvaluationIdentity(dataset_hash=env.dataset.hash, scenario_id=scenario_id, round_index=round_index)
    attempt = 1
    while True:
        policy.begin(stream(identity, "policy"))
        try:
            return _play(env, policy, {"scenario_id": scenario_id, "round": round_index})
        except SumoError:
            if attempt == _ATTEMPTS:
                raise
            attempt += 1


def _play(env: ConvoyEnv, policy: Policy, options: dict[str, object]) -> EpisodeRecord:
    observation, _ = env.reset(options=options)
    while True:
        action = np.array([policy(observation)], dtype=np.float32)
        observation, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            record: EpisodeRecord = info["record"]
            return record
