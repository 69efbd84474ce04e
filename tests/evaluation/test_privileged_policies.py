"""The privileged policies, in worlds made by hand, and attached to the real environment."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.episodes import EvaluationEpisodes
from roadsense.env.hazard import Hazard
from roadsense.errors import ConfigError, UsageError
from roadsense.evaluation.reference.oracle import Oracle
from roadsense.evaluation.reference.ttc_leader import TimeToCollisionLeader
from roadsense.evaluation.reference.ttc_perfect_radio import TimeToCollisionPerfectRadio, true_observation
from roadsense.evaluation.rollout import play_episode
from roadsense.features import EGO_COLUMN, EGO_SCALES, PEER_COLUMN
from roadsense.peer_set import PeerSet
from roadsense.radio.observe import peers_from_observation
from roadsense.state import SimulatorState, VehicleStates

SILENT = {"ego": np.zeros(3, np.float32), "peers": PeerSet.empty()}


class World:
    """A road eastwards at y = 0 with the ego at its origin; cars as name=(front_m ahead, speed_mps, accel_mps2)."""

    def __init__(self, *, ego_mps=20.0, time_s=0.0, leader_id=None, hazard=None, fired_s=None, unequipped=(), **cars):
        placed = dict(sorted({"ego": (0.0, ego_mps, 0.0), **cars}.items()))
        front_m, speed_mps, accel_mps2 = np.array(list(placed.values()), dtype=float).T
        count = len(placed)
        vehicles = VehicleStates(
            ids=tuple(placed),
            lane_ids=("lane_0",) * count,
            x_m=front_m,
            y_m=np.zeros(count),
            speed_mps=speed_mps,
            accel_mps2=accel_mps2,
            heading_rad=np.zeros(count),
            lane_position_m=front_m,
            length_m=np.full(count, 5.0),
            index={name: row for row, name in enumerate(placed)},
        )
        self.state = SimulatorState(time_s=time_s, vehicles=vehicles)
        self.episode = SimpleNamespace(
            plan=SimpleNamespace(scenario=SimpleNamespace(ego_id="ego", is_equipped=lambda name: name not in unequipped)),
            situation=SimpleNamespace(leader_id=leader_id),
            script=SimpleNamespace(hazard=hazard),
            hazard_times=SimpleNamespace(fired_s=fired_s),
            elapsed_s=lambda state: state.time_s,
        )


def decide(policy, *worlds) -> list[float]:
    """Actions of a fresh episode that passes through these worlds."""
    policy.begin(np.random.default_rng(0))
    actions = []
    for world in worlds:
        policy.attach(world)
        actions.append(policy(SILENT))
    return actions


@pytest.mark.parametrize("policy", [Oracle(), TimeToCollisionLeader(), TimeToCollisionPerfectRadio()])
def test_between_two_episodes_there_is_nothing_to_look_at(policy):
    world = World()
    world.episode = None
    with pytest.raises(UsageError, match="reset"):
        decide(policy, world)


def test_the_radar_policy_brakes_for_a_slow_leader_in_view_only():
    near, far = World(leader_id="a", a=(45.0, 5.0, 0.0)), World(leader_id="a", a=(70.0, 5.0, 0.0))
    assert decide(TimeToCollisionLeader(), near)[0] > 0.3
    assert decide(TimeToCollisionLeader(), far) == [0.0]


def test_the_radar_policy_does_not_see_past_its_leader():
    """The car two ahead stands; the leader, still at full speed, hides it."""
    assert decide(TimeToCollisionLeader(), World(leader_id="a", a=(30.0, 20.0, 0.0), b=(60.0, 0.0, 0.0))) == [0.0]


def braking_leader(first_step, last_step, **others):
    """A leader 25 m ahead, as fast as the ego at first, that brakes with 8 m/s2 from step 0 on."""
    return [
        World(leader_id="a", a=(25.0, 20.0 - 0.8 * step, -8.0), time_s=1.0 + 0.1 * step, **others) for step in range(first_step, last_step)
    ]


def test_the_radar_policy_learns_of_braking_with_the_lag_of_its_tracker():
    """A radar measures range and closing speed; the acceleration comes at once with a message only."""
    radar = decide(TimeToCollisionLeader(), *braking_leader(0, 12))
    radio = decide(TimeToCollisionPerfectRadio(), *braking_leader(0, 12))
    assert radio[0] > 0.3
    assert radar[:2] == [0.0, 0.0]
    assert all(later <= sooner for later, sooner in zip(radar, radio, strict=True))
    assert radar[-1] > 0.8 * radio[-1]


def test_the_tracker_closes_in_on_the_true_acceleration_with_its_lag():
    policy = TimeToCollisionLeader()
    decide(policy, *braking_leader(0, 6))
    assert policy._track.accel_mps2 == pytest.approx(-8.0 * (1 - (0.5 / 0.6) ** 5))


def test_a_trackers_lag_ranges_from_none_to_no_acceleration_at_all():
    exact, blind = TimeToCollisionLeader(tracker_lag_s=0.0), TimeToCollisionLeader(tracker_lag_s=math.inf)
    for policy, accel_mps2 in ((exact, -8.0), (blind, 0.0)):
        decide(policy, *braking_leader(0, 6))
        assert policy._track.accel_mps2 == pytest.approx(accel_mps2)
    for lag_s in (-0.1, math.nan):
        with pytest.raises(ConfigError, match="give 0 or more"):
            TimeToCollisionLeader(tracker_lag_s=lag_s)


def test_the_radar_policy_begins_a_new_track_after_it_lost_sight_or_saw_another_car():
    hidden, other = World(time_s=1.5), World(leader_id="b", b=(25.0, 20.0, 0.0), time_s=1.5)
    for between in (hidden, other):
        policy = TimeToCollisionLeader()
        decide(policy, *braking_leader(0, 5), between, *braking_leader(6, 7))
        assert policy._track.accel_mps2 == 0.0


def test_the_radar_policy_forgets_the_previous_episode():
    policy = TimeToCollisionLeader()
    decide(policy, *braking_leader(0, 5))
    decide(policy, *braking_leader(5, 6))
    assert policy._track.accel_mps2 == 0.0


def test_a_perfect_radio_knows_all_equipped_cars_exactly_and_no_others():
    world = World(a=(30.0, 15.0, -3.0), b=(70.0, 18.0, 0.5), silent=(50.0, 0.0, 0.0), unequipped=("silent",))
    observation = true_observation(world.state, world.episode, 0.25)
    peers = peers_from_observation(observation["peers"].values)
    by_distance = peers[np.argsort(peers[:, PEER_COLUMN["forward_m"]])]
    assert by_distance[:, PEER_COLUMN["forward_m"]] == pytest.approx([30.0, 70.0])
    assert by_distance[:, PEER_COLUMN["relative_speed_mps"]] == pytest.approx([-5.0, -2.0])
    assert by_distance[:, PEER_COLUMN["accel_mps2"]] == pytest.approx([-3.0, 0.5])
    assert (by_distance[:, PEER_COLUMN["age_s"]] == 0).all()
    assert observation["ego"][EGO_COLUMN["previous_action"]] * EGO_SCALES[EGO_COLUMN["previous_action"]] == pytest.approx(0.25)


def test_a_perfect_radio_brakes_for_the_braking_car_two_ahead():
    braking = {"a": (30.0, 20.0, 0.0), "b": (60.0, 15.0, -8.0)}
    assert decide(TimeToCollisionPerfectRadio(), World(**braking))[0] > 0.3
    assert decide(TimeToCollisionPerfectRadio(), World(**braking, unequipped=("b",))) == [0.0]


def hazard(onset_s=5.0, resolves_s=math.inf) -> Hazard:
    return Hazard(rank=1, vehicle_id="a", onset_s=onset_s, decel_mps2=8.0, end_speed_fraction=0.0, resolves_s=resolves_s)


def oracle_at(*times_s, drawn, fires=True) -> list[float]:
    """The oracle's actions at these times; the environment fires the hazard right after the decision at its onset."""
    onset_s = drawn.onset_s if drawn is not None else math.inf
    worlds = [
        World(time_s=t, hazard=drawn, fired_s=onset_s if fires and t > onset_s + 0.05 else None, a=(30.0, 20.0, 0.0)) for t in times_s
    ]
    return decide(Oracle(), *worlds)


def test_the_oracle_brakes_fully_from_the_onset_on():
    assert oracle_at(0.0, 4.9, 5.0, 5.1, 30.0, drawn=hazard()) == [0, 0, 1, 1, 1]


def test_the_oracle_releases_a_second_after_the_hazard_has_resolved():
    assert oracle_at(5.0, 8.0, 8.9, 9.1, 20.0, drawn=hazard(resolves_s=8.0)) == [1, 1, 1, 0, 0]


def test_the_oracle_never_brakes_without_a_hazard():
    assert oracle_at(0.0, 5.0, 39.0, drawn=None) == [0, 0, 0]


def test_the_oracle_drops_a_hazard_that_does_not_come():
    assert oracle_at(4.9, 5.0, 5.1, 20.0, drawn=hazard(), fires=False) == [0, 1, 0, 0]


def test_the_oracle_forgets_the_previous_episode():
    policy = Oracle()
    decide(policy, World(time_s=5.0, hazard=hazard()))
    assert decide(policy, World(time_s=5.0, hazard=hazard())) == [1.0]


@pytest.fixture(scope="module")
def env(dataset_dir):
    env = ConvoyEnv(dataset_dir=dataset_dir, scenario_mode="eval", task={"horizon_s": 12.0, "hazard": {"probability": 1.0}})
    yield env
    env.close()


def with_hazard_within(env, horizon_s):
    """The first evaluation plans whose hazard begins soon enough to be seen."""
    episodes = EvaluationEpisodes(env.dataset)
    for _ in range(40):
        plan = episodes.next()
        env.reset(options={"identity": plan.identity.label(), "scenario_id": plan.scenario.scenario_id})
        drawn = env.episode.script.hazard
        if drawn is not None and drawn.onset_s < horizon_s:
            return plan, drawn
    raise AssertionError("no hazard in 40 episodes")


def test_attached_to_the_environment_the_oracle_brakes_exactly_with_the_hazard(env):
    plan, drawn = with_hazard_within(env, 10.0)
    record = play_episode(env, Oracle(), plan)
    first = next(step for step, action in enumerate(record.actions) if action > 0)
    assert record.hazard_fired and first == math.ceil(round(drawn.onset_s * 10, 6))
    assert record.false_braking_steps == 0


@pytest.mark.parametrize("policy", [TimeToCollisionLeader(), TimeToCollisionPerfectRadio()])
def test_attached_to_the_environment_they_drive_the_same_episode_twice(env, policy):
    plan, _ = with_hazard_within(env, 10.0)
    assert play_episode(env, policy, plan) == play_episode(env, policy, plan)
