"""From what a user types to a policy."""

import numpy as np
import pytest

from roadsense.errors import PolicyError
from roadsense.evaluation.policies import resolve_policy
from roadsense.peer_set import PeerSet

OBSERVATION = {"ego": np.zeros(3, np.float32), "peers": PeerSet.empty()}


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "my_policies.py").write_text(
        "def half(observation):\n    return 0.5\n\n"
        "class Counting:\n    def begin(self, rng):\n        self.steps = 0\n"
        "    def __call__(self, observation):\n        self.steps += 1\n        return 1.0 / self.steps\n\n"
        "number = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_a_function(module):
    policy = resolve_policy("my_policies:half")
    policy.begin(np.random.default_rng(0))
    assert policy(OBSERVATION) == 0.5


def test_a_class_is_told_of_every_episode(module):
    policy = resolve_policy("my_policies:Counting")
    for _ in range(2):
        policy.begin(np.random.default_rng(0))
        assert [policy(OBSERVATION), policy(OBSERVATION)] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("spec", "message"),
    [("never_brak", "did you mean 'never_brake'"), ("nowhere:x", "cannot import"), ("my_policies:x", "has no 'x'"), ("my_policies:number", "is a int"),
     ("nowhere.zip", "nowhere.zip")],
)  # fmt: skip
def test_refusals_say_what_to_do(module, spec, message):
    with pytest.raises(PolicyError, match=message) as caught:
        resolve_policy(spec)
    assert len(str(caught.value).splitlines()) == 1
