"""The reference policies on hand-made observations."""

import numpy as np
import pytest

from roadsense.evaluation.reference_policies import REFERENCE_POLICIES, RandomBursts, TimeToCollisionRadio
from roadsense.features import EGO_SCALES, PEER_SCALES, RELEASE_THRESHOLD
from roadsense.peer_set import PeerSet


def observation(*peers: tuple[float, ...], speed_mps: float = 25.0):
    """Peers as (forward_m, left_m, relative_speed_mps, relative_heading_rad, accel_mps2, age_s)."""
    values = np.array(peers, dtype=float).reshape(-1, 6) / PEER_SCALES
    ego = np.array([speed_mps, 0.0, 0.0]) / EGO_SCALES
    return {"ego": ego.astype(np.float32), "peers": PeerSet(values)}


@pytest.mark.parametrize("name", REFERENCE_POLICIES)
def test_every_policy_answers_with_a_fraction_for_any_number_of_peers(name):
    policy = REFERENCE_POLICIES[name]()
    policy.begin(np.random.default_rng(1))
    rng = np.random.default_rng(2)
    for count in (0, 1, 50):
        peers = rng.normal(size=(count, 6)) * PEER_SCALES
        assert 0.0 <= policy(observation(*peers)) <= 1.0


def test_random_bursts_are_rare_and_last():
    policy = RandomBursts()
    policy.begin(np.random.default_rng(3))
    actions = np.array([policy(observation()) for _ in range(20_000)])
    braking = actions > RELEASE_THRESHOLD
    assert 0.03 < braking.mean() < 0.25
    assert braking.sum() / (np.diff(braking.astype(int)) == 1).sum() == pytest.approx(10.0, rel=0.25)


def test_random_bursts_follow_the_episode():
    runs = []
    for _ in range(2):
        policy = RandomBursts()
        policy.begin(np.random.default_rng(5))
        runs.append([policy(observation()) for _ in range(500)])
    assert runs[0] == runs[1]


@pytest.fixture
def ttc() -> TimeToCollisionRadio:
    policy = TimeToCollisionRadio()
    policy.begin(np.random.default_rng(0))
    return policy


def test_ttc_does_nothing_without_a_reason(ttc):
    assert ttc(observation()) == 0.0
    assert ttc(observation((40.0, 0.0, 0.0, 0.0, 0.0, 0.05))) == 0.0


def test_ttc_brakes_for_a_car_that_brakes_and_harder_when_it_is_nearer(ttc):
    actions = [ttc(observation((distance_m, 0.0, -5.0, 0.0, -8.0, 0.05))) for distance_m in (80.0, 50.0, 25.0, 12.0)]
    assert actions == sorted(actions)
    assert actions[1] > 0.3 and actions[-1] == 1.0


def test_ttc_brakes_for_a_standing_car(ttc):
    assert ttc(observation((45.0, 0.0, -25.0, 0.0, 0.0, 0.05))) == 1.0


def test_ttc_ignores_cars_behind_beside_and_oncoming(ttc):
    urgent = (-25.0, 0.0, -8.0, 0.05)
    assert ttc(observation((-20.0, 0.0, *urgent))) == 0.0
    assert ttc(observation((-3.0, 0.0, *urgent))) == 0.0
    assert ttc(observation((5.0, 40.0, *urgent))) == 0.0
    assert ttc(observation((30.0, 0.0, -40.0, np.pi, 0.0, 0.05))) == 0.0


def test_ttc_leaves_room_for_the_cars_in_between(ttc):
    alone = ttc(observation((60.0, 0.0, -8.0, 0.0, -6.0, 0.05)))
    behind_another = ttc(observation((30.0, 0.0, 0.0, 0.0, 0.0, 0.05), (60.0, 0.0, -8.0, 0.0, -6.0, 0.05)))
    assert behind_another > alone


def test_ttc_is_quiet_when_standing(ttc):
    assert ttc(observation((6.0, 0.0, 0.0, 0.0, -8.0, 0.05), speed_mps=0.0)) == 0.0
