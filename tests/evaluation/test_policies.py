"""From what a user types to a policy."""

import numpy as np
import pytest

from roadsense.env.convoy_env import ConvoyEnv
from roadsense.errors import PolicyError
from roadsense.evaluation.policies import resolve_policy
from roadsense.evaluation.reference import REFERENCE_POLICIES, PrivilegedPolicy
from roadsense.evaluation.rollout import play_evaluation_episode
from roadsense.peer_set import PeerSet

OBSERVATION = {"ego": np.zeros(3, np.float32), "peers": PeerSet.empty()}

MODULE = '''
def half(observation):
    return 0.5


class Counting:
    def begin(self, rng):
        self.steps = 0

    def __call__(self, observation):
        self.steps += 1
        return 1.0 / self.steps


class Plain:
    def __call__(self, observation):
        return 0.25


class Cheat:
    """Brakes while the car ahead is nearer than a second."""

    def begin(self, rng):
        self.calls = []

    def attach(self, env):
        self.env = env
        self.calls.append("attach")

    def __call__(self, observation):
        self.calls.append(self.env.episode.elapsed_s(self.env.state))
        situation = self.env.episode.situation
        return float(situation.gap_m < situation.speed_mps)


class HalfACheat:
    def attach(self, env):
        pass

    def __call__(self, observation):
        return 0.0


class Needy:
    def __init__(self, path):
        pass


class Mute:
    pass


number = 3
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "my_policies.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize("name", REFERENCE_POLICIES)
def test_a_reference_policy_by_its_name(name):
    assert type(resolve_policy(name)) is REFERENCE_POLICIES[name]


def test_a_function(module):
    policy = resolve_policy("my_policies:half")
    policy.begin(np.random.default_rng(0))
    assert policy(OBSERVATION) == 0.5


def test_a_class_is_told_of_every_episode(module):
    policy = resolve_policy("my_policies:Counting")
    for _ in range(2):
        policy.begin(np.random.default_rng(0))
        assert [policy(OBSERVATION), policy(OBSERVATION)] == [1.0, 0.5]


def test_a_class_need_not_care_about_episodes(module):
    policy = resolve_policy("my_policies:Plain")
    policy.begin(np.random.default_rng(0))
    assert policy(OBSERVATION) == 0.25
    assert not isinstance(policy, PrivilegedPolicy)


def test_an_own_privileged_policy_is_attached_after_the_reset_and_before_the_first_decision(module, dataset_dir):
    policy = resolve_policy("my_policies:Cheat")
    env = ConvoyEnv(dataset_dir=dataset_dir, scenario_mode="eval", task={"horizon_s": 1.0})
    record = play_evaluation_episode(env, policy, env.dataset.eval[0].scenario_id, 0)
    env.close()
    assert policy.calls[:2] == ["attach", 0.0] and policy.calls.count("attach") == 1
    assert len(policy.calls) == 1 + record.steps


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("never_brak", "did you mean 'never_brake'"),
        ("something", "known are never_brake"),
        ("nowhere:x", "cannot import"),
        ("my_policies:x", "has no 'x'"),
        ("my_policies:", "not of the form module:function"),
        ("my_policies:number", "is a int"),
        ("my_policies:HalfACheat", "lacks begin"),
        ("my_policies:Needy", "without arguments"),
        ("my_policies:Mute", "cannot be called"),
        ("nowhere.zip", "nowhere.zip"),
    ],
)
def test_refusals_say_what_to_do(module, spec, message):
    with pytest.raises(PolicyError, match=message) as caught:
        resolve_policy(spec)
    assert len(str(caught.value).splitlines()) == 1
