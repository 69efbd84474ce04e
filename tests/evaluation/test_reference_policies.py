"""The reference policies that see only the observation, on hand-made ones."""

import numpy as np
import pytest

from roadsense.errors import ConfigError, UsageError
from roadsense.evaluation.reference import REFERENCE_POLICIES, Policy, PrivilegedPolicy
from roadsense.evaluation.reference.leak_rule import LeakRule
from roadsense.evaluation.reference.random_bursts import RandomBursts
from roadsense.evaluation.reference.stopping_rule import StoppingRule
from roadsense.evaluation.reference.ttc_radio import Corridor, TimeToCollisionRadio
from roadsense.features import EGO_SCALES, PEER_SCALES, RELEASE_THRESHOLD
from roadsense.peer_set import PeerSet

PRIVILEGED = ("ttc_leader", "ttc_perfect_radio", "oracle")


def observation(*peers: tuple[float, ...], speed_mps: float = 25.0, accel_mps2: float = 0.0, previous_action: float = 0.0):
    """Peers as (forward_m, left_m, relative_speed_mps, relative_heading_rad, accel_mps2, age_s)."""
    values = np.array(peers, dtype=float).reshape(-1, 6) / PEER_SCALES
    ego = np.array([speed_mps, accel_mps2, previous_action]) / EGO_SCALES
    return {"ego": ego.astype(np.float32), "peers": PeerSet(values)}


@pytest.mark.parametrize("name", REFERENCE_POLICIES)
def test_every_policy_keeps_the_protocol_and_only_the_privileged_ones_can_be_attached(name):
    policy = REFERENCE_POLICIES[name]()
    assert isinstance(policy, Policy)
    assert isinstance(policy, PrivilegedPolicy) == (name in PRIVILEGED)


@pytest.mark.parametrize("name", set(REFERENCE_POLICIES) - set(PRIVILEGED))
def test_every_policy_answers_with_a_fraction_for_any_number_of_peers(name):
    policy = REFERENCE_POLICIES[name]()
    policy.begin(np.random.default_rng(1))
    rng = np.random.default_rng(2)
    for count in (0, 1, 50):
        peers = rng.normal(size=(count, 6)) * PEER_SCALES
        assert 0.0 <= policy(observation(*peers)) <= 1.0


@pytest.mark.parametrize("name", PRIVILEGED)
def test_a_privileged_policy_without_an_environment_says_what_to_do(name):
    policy = REFERENCE_POLICIES[name]()
    policy.begin(np.random.default_rng(0))
    with pytest.raises(UsageError, match="attach"):
        policy(observation())


def test_random_bursts_are_rare_and_last():
    policy = RandomBursts()
    policy.begin(np.random.default_rng(3))
    actions = np.array([policy(observation()) for _ in range(20_000)])
    braking = actions > RELEASE_THRESHOLD
    assert 0.03 < braking.mean() < 0.25
    assert actions[braking].min() >= 0.1 and actions.max() <= 1.0
    assert actions[braking].mean() == pytest.approx(0.55, abs=0.08)
    assert braking.sum() / (np.diff(braking.astype(int)) == 1).sum() == pytest.approx(10.0, rel=0.25)


def test_random_bursts_follow_the_episode():
    runs = []
    for _ in range(2):
        policy = RandomBursts()
        policy.begin(np.random.default_rng(5))
        runs.append([policy(observation()) for _ in range(500)])
    assert runs[0] == runs[1]


@pytest.fixture
def leak() -> LeakRule:
    policy = LeakRule(memory_steps=4, flat_mps2=0.2)
    policy.begin(np.random.default_rng(0))
    return policy


def driven(policy, accelerations_mps2, *peers) -> list[float]:
    """Actions over these own accelerations, each knowing of the action before."""
    actions, previous = [], 0.0
    for accel_mps2 in accelerations_mps2:
        previous = policy(observation(*peers, accel_mps2=accel_mps2, previous_action=previous))
        actions.append(previous)
    return actions


def first_braking(actions) -> int:
    """The step of the first braking, counted from 0."""
    return next(step for step, action in enumerate(actions) if action > RELEASE_THRESHOLD)


def test_the_leak_rule_fires_on_a_flat_acceleration_and_not_on_a_lively_one(leak):
    assert first_braking(driven(leak, [0.1, -0.1, 0.15, -0.15])) == 3
    leak.begin(np.random.default_rng(0))
    assert not any(driven(leak, [0.5, -0.4, 0.3, -0.6] * 20))


def test_the_leak_rule_needs_a_full_memory_after_every_burst(leak):
    """The step in which a burst ends, then three flat ones; the fourth fills the memory and begins the next burst."""
    actions = np.array(driven(leak, [0.0] * 2000))
    pauses = np.diff(np.flatnonzero(actions > 0)) - 1
    assert set(pauses[pauses > 0]) == {4}


def test_the_leak_rule_brakes_in_the_bursts_of_random():
    """On a flat road both brake again and again; mean amount and mean length agree."""

    def bursts(policy):
        policy.begin(np.random.default_rng(6))
        actions = driven(policy, [0.0] * 60_000)
        starts = [step for step in range(1, len(actions)) if actions[step] > 0 and actions[step - 1] == 0]
        return np.mean([actions[step] for step in starts]), sum(action > 0 for action in actions) / len(starts)

    amount, length = bursts(LeakRule(memory_steps=30, flat_mps2=0.2))
    assert (amount, length) == pytest.approx(bursts(RandomBursts()), rel=0.12)


def test_the_leak_rule_forgets_its_own_braking(leak):
    """A step after its own braking says nothing of the driver: neither a hard deceleration nor a flat one enters the memory."""
    for accel_mps2 in (-8.0, 0.0, 0.0, 0.0, 0.0):
        assert leak(observation(accel_mps2=accel_mps2, previous_action=1.0)) == 0.0
    assert first_braking(driven(leak, [0.0] * 4)) == 3


@pytest.mark.parametrize("steps", [2, 4])
def test_the_leak_rule_forgets_the_previous_episode(leak, steps):
    """Neither half a memory nor a burst reaches into the next episode."""
    driven(leak, [0.0] * steps)
    leak.begin(np.random.default_rng(0))
    assert first_braking(driven(leak, [0.0] * 4)) == 3


def test_the_leak_rule_never_sees_peers():
    rng = np.random.default_rng(4)
    accelerations_mps2 = rng.normal(scale=0.3, size=300)
    crowd = rng.normal(size=(20, 6)) * PEER_SCALES
    alone = driven(LeakRule(), accelerations_mps2)
    assert any(alone)
    assert alone == driven(LeakRule(), accelerations_mps2, *crowd)


def test_the_leak_rule_refuses_a_memory_below_one_step():
    with pytest.raises(ConfigError, match="at least 1"):
        LeakRule(memory_steps=0)


def required(rule, *, gap_m, other_mps, accel_mps2, speed_mps=20.0) -> float:
    return float(rule.required_decel_mps2(speed_mps, np.array([gap_m]), np.array([other_mps]), np.array([accel_mps2]))[0])


def test_the_rule_needs_closing_speed_squared_over_twice_the_room():
    rule = StoppingRule(margin_m=3.0)
    assert required(rule, gap_m=23.0, other_mps=12.0, accel_mps2=0.0) == pytest.approx(8.0**2 / 40.0)
    assert required(rule, gap_m=23.0, other_mps=25.0, accel_mps2=0.0) == 0.0


def test_the_rule_stops_behind_where_a_braking_car_stops():
    rule = StoppingRule(margin_m=3.0, brakes_mps2=2.0)
    assert required(rule, gap_m=23.0, other_mps=20.0, accel_mps2=-5.0) == pytest.approx(20.0**2 / (2 * (20.0 + 40.0)))
    assert required(rule, gap_m=23.0, other_mps=20.0, accel_mps2=-1.9) == 0.0


def test_the_rule_stays_finite_when_there_is_no_room_left():
    rule = StoppingRule(least_room_m=2.0)
    assert required(rule, gap_m=-4.0, other_mps=0.0, accel_mps2=0.0) == pytest.approx(20.0**2 / 4.0)
    assert required(rule, gap_m=-40.0, other_mps=10.0, accel_mps2=-9.0) == pytest.approx(20.0**2 / 4.0)


def test_the_rule_acts_from_the_trigger_on_with_the_gain():
    rule = StoppingRule(trigger_mps2=2.0, gain=1.5)
    assert rule.action(np.array([1.9])) == 0.0
    assert rule.action(np.array([1.0, 2.4])) == pytest.approx(1.5 * 2.4 / 8.0)
    assert rule.action(np.array([7.0])) == 1.0
    assert rule.action(np.empty(0)) == 0.0


@pytest.mark.parametrize("constant", ["least_room_m", "brakes_mps2", "trigger_mps2", "gain"])
def test_the_rule_refuses_constants_that_are_not_positive(constant):
    with pytest.raises(ConfigError, match=constant):
        StoppingRule(**{constant: 0.0})


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


def test_ttc_extrapolates_by_the_age(ttc):
    fresh, old = (ttc(observation((50.0, 0.0, -12.0, 0.0, -6.0, age_s))) for age_s in (0.0, 0.4))
    assert old > fresh > 0


def test_ttc_extrapolates_the_speed_too(ttc):
    """A car at 12 m/s that brakes with 8 m/s2 will have lost 4 m/s in half a second; distance plays no part at relative speed 0."""
    fresh, old = (ttc(observation((40.0, 0.0, 0.0, 0.0, -8.0, age_s), speed_mps=18.0)) for age_s in (0.0, 0.5))
    assert old > fresh > 0


def test_ttc_ignores_cars_behind_beside_and_oncoming(ttc):
    urgent = (-25.0, 0.0, -8.0, 0.05)
    assert ttc(observation((-20.0, 0.0, *urgent))) == 0.0
    assert ttc(observation((-3.0, 0.0, *urgent))) == 0.0
    assert ttc(observation((5.0, 40.0, *urgent))) == 0.0
    assert ttc(observation((30.0, 0.0, -40.0, np.pi, 0.0, 0.05))) == 0.0


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_ttc_follows_a_bend_and_ignores_cross_traffic(ttc, side):
    """A car that has turned to the side it stands on follows the road; one turned the other way, or across it, does not."""
    standing = (25.0, side * 20.0, -15.0)
    assert ttc(observation((*standing, side * 1.1, 0.0, 0.05), speed_mps=15.0)) > 0.0
    assert ttc(observation((*standing, -side * 1.1, 0.0, 0.05), speed_mps=15.0)) == 0.0
    assert ttc(observation((25.0, side * 3.0, -15.0, side * np.pi / 2, 0.0, 0.05), speed_mps=15.0)) == 0.0


def test_the_corridor_widens_with_distance_and_with_the_turn():
    corridor = Corridor(half_width_m=5.0, slope=0.1, max_turn_rad=2.0)

    def counts(forward_m, left_m, turn_rad=0.0):
        return bool(corridor.contains(np.array([[forward_m, left_m, 0.0, turn_rad, 0.0, 0.0]]))[0])

    assert counts(10.0, 5.9) and not counts(10.0, 6.5)
    assert counts(60.0, 10.0) and not counts(60.0, 12.0)
    assert counts(60.0, 30.0, 0.5) and not counts(60.0, -30.0, 0.5)
    assert not counts(0.0, 0.0) and not counts(30.0, 0.0, 2.1)


def test_ttc_leaves_room_for_the_cars_in_between(ttc):
    alone = ttc(observation((60.0, 0.0, -8.0, 0.0, -6.0, 0.05)))
    behind_another = ttc(observation((30.0, 0.0, 0.0, 0.0, 0.0, 0.05), (60.0, 0.0, -8.0, 0.0, -6.0, 0.05)))
    assert behind_another > alone


def test_ttc_is_quiet_when_standing(ttc):
    assert ttc(observation((6.0, 0.0, 0.0, 0.0, -8.0, 0.05), speed_mps=0.0)) == 0.0
