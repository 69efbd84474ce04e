"""What the critic is told and the policy is not."""

import math

import numpy as np
import pytest
import torch

from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.privileged import PRIVILEGED_SIZE, Privileged
from roadsense.features import EGO_SIZE, PEER_SIZE
from roadsense.model.deep_sets import DeepSets
from roadsense.model.settings import ModelSettings
from roadsense.model.weights import acting_weights
from roadsense.peer_set import PRIVILEGED, observation_space, training_observation_space
from roadsense.training.environment import TrainingEnv

HAZARD = {
    "warm_up_s": 2.0,
    "horizon_s": 12.0,
    "hazard": {"probability": 1.0, "onset_s": {"low": 4.0, "high": 4.0}, "resolve_probability": 0.0, "rank_ratio": 0.01},
    "distraction": {"lead_s": {"low": 1.0, "high": 1.0}, "reaction_s": {"low": 2.0, "high": 2.0}, "unrelated_probability": 0.0},
}


def batch(rows, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, rows)
    ego, values = rng.normal(size=(rows, EGO_SIZE)), rng.normal(size=(int(counts.sum()), PEER_SIZE))
    told = rng.normal(size=(rows, PRIVILEGED_SIZE))
    ego_BE, values_SF, told_BV = (torch.tensor(array, dtype=torch.float32) for array in (ego, values, told))
    return ego_BE, values_SF, torch.tensor(counts), told_BV


@pytest.mark.parametrize("shared_encoder", [False, True])
def test_the_critic_listens_and_the_actor_cannot(shared_encoder):
    network = DeepSets(ModelSettings(shared_encoder=shared_encoder), privileged_size=PRIVILEGED_SIZE)
    ego, values, counts, told = batch(6)
    actions, judged = network(ego, values, counts, told)
    others, judged_anew = network(ego, values, counts, -told)
    assert torch.equal(actions, others)
    assert (judged - judged_anew).abs().min() > 1e-6
    assert torch.equal(network.value(ego, values, counts, told), judged)
    assert torch.equal(network.action_parameters(ego, values, counts), actions)


def test_a_policy_file_holds_nothing_of_it():
    told = acting_weights(DeepSets(ModelSettings(), privileged_size=PRIVILEGED_SIZE))
    plain = acting_weights(DeepSets(ModelSettings()))
    assert {name: weight.shape for name, weight in told.items()} == {name: weight.shape for name, weight in plain.items()}


def test_users_see_the_plain_space_and_training_adds_one_entry(dataset_dir):
    env = ConvoyEnv(dataset_dir=dataset_dir)
    assert env.observation_space == observation_space()
    assert TrainingEnv(env).observation_space == training_observation_space(PRIVILEGED_SIZE)


def test_entries_follow_the_episode(dataset_dir):
    """Own speed, distance ahead, the driver's distraction and the hazard, before its onset and after it."""
    env = ConvoyEnv(dataset_dir=dataset_dir, task=HAZARD)
    training = TrainingEnv(env)
    try:
        for _ in range(20):
            observation, _ = training.reset()
            if env.episode.script.hazard is not None:
                break
        told, distracted, waiting, active = [observation[PRIVILEGED]], [], [], []
        done = False
        episode = env.episode
        while not done:
            observation, _, terminated, truncated, _ = training.step(np.zeros(1, np.float32))
            done = terminated or truncated
            told.append(observation[PRIVILEGED])
            np.testing.assert_array_equal(observation[PRIVILEGED], Privileged(episode).entries(env.state))
            assert observation in training.observation_space
            assert observation[PRIVILEGED][0] == pytest.approx(episode.situation.speed_mps / 30.0)
            assert observation[PRIVILEGED][3] == pytest.approx(math.exp(-max(0.0, episode.situation.gap_m) / 50.0))
            distracted.append(bool(observation[PRIVILEGED][7]))
            waiting.append(float(observation[PRIVILEGED][11]))
            active.append(bool(observation[PRIVILEGED][10]))
        assert distracted[:35] == [False] * 29 + [True] * 6, "one second before the onset"
        assert waiting[0] == pytest.approx(math.exp(-3.9 / 5.0), abs=1e-5)
        assert waiting[:39] == sorted(waiting[:39]), "it comes nearer"
        assert active[:41] == [False] * 40 + [True], "the command of the onset shows in the state after it"
        assert all(np.isfinite(entries).all() and np.abs(entries).max() <= 2.0 for entries in told)
    finally:
        training.close()
