"""Reward terms and outcomes on hand-made situations."""

import math

import numpy as np
import pytest

from roadsense.env.cornering import lateral_accel_mps2
from roadsense.env.hazard import Hazard
from roadsense.env.ledger import ACCEL_MPS2, FIRST_TERM, REWARD, SPEED_MPS, look, new_ledger, settle
from roadsense.env.outcome import Outcome, ego_contact, judge, judge_vanished
from roadsense.env.reward import TERM_NAMES, Reward
from roadsense.env.script import EpisodeScript
from roadsense.env.settings import RewardWeights
from roadsense.env.situation import Situation
from roadsense.env.statistics import EpisodeFacts, HazardTimes, summed_up
from roadsense.features import RELEASE_THRESHOLD
from roadsense.state import Collision, SimulatorState, VehicleStates

EMPTY = VehicleStates(
    ids=(),
    lane_ids=(),
    index={},
    **{name: np.zeros(0) for name in ("x_m", "y_m", "speed_mps", "accel_mps2", "heading_rad", "lane_position_m", "length_m")},
)


def situation(**changes) -> Situation:
    values = {"speed_mps": 20.0, "speed_limit_mps": 20.0, "accel_mps2": 0.0, "leader_id": "V002", "gap_m": 40.0, "leader_speed_mps": 20.0}
    return Situation(**(values | changes))


def state(*collisions: Collision, arrived: tuple[str, ...] = ()) -> SimulatorState:
    return SimulatorState(time_s=1.0, vehicles=EMPTY, collisions=collisions, arrived_ids=arrived)


def collision(collider: str, victim: str) -> Collision:
    return Collision(collider_id=collider, victim_id=victim, kind="collision", collider_speed_mps=20.0, victim_speed_mps=0.0)


EGO, LEADER = 0, 1
WEIGHTS = Reward(RewardWeights()).weights


def arrays(now: Situation) -> list[np.ndarray]:
    """The ego at the origin and its leader, as `settle` takes them: lane starts, positions, lengths, speeds."""
    cars = 1 if now.leader_id is None else 2
    columns = ((0.0, 0.0), (0.0, now.gap_m + 4.5), (4.5, 4.5), (now.speed_mps, now.leader_speed_mps))
    return [np.array(column[:cars]) for column in columns]


def written(*steps: tuple[Situation, float, float], before: Situation | None = None, collides: bool = False, weights=WEIGHTS) -> np.ndarray:
    """The ledger of steps (situation after it, action, time of the decision); a step's acceleration is that of its situation."""
    before = before or situation()
    ledger = new_ledger(len(steps))
    look(ledger, 0, EGO, *arrays(before), np.zeros(2), before.speed_limit_mps)
    ledger[0, ACCEL_MPS2] = before.accel_mps2
    for row, (now, action, decided_s) in enumerate(steps, start=1):
        ledger[row - 1, SPEED_MPS] = now.speed_mps - 0.1 * now.accel_mps2  # speed before, from which the achieved acceleration follows
        settle(ledger, row, EGO, *arrays(now), np.zeros(2), now.speed_limit_mps, decided_s, action, collides, weights)
    return ledger


def terms(now: Situation, action: float = 0.0, *, collides: bool = False) -> dict[str, float]:
    ledger = written((now, action, 0.0), collides=collides)
    return dict(zip(TERM_NAMES, ledger[1, FIRST_TERM:REWARD].tolist(), strict=True))


def total(now: Situation, action: float = 0.0) -> float:
    return float(written((now, action, 0.0))[1, REWARD])


def test_the_reward_is_the_sum_of_the_weighted_terms():
    hard = situation(leader_speed_mps=5.0, gap_m=-0.1, accel_mps2=-6.0)
    weights = RewardWeights(progress=1, collision=2, unsafe=3, braking=4, jerk=5)
    ledger = written((hard, 1.0, 0.0), weights=Reward(weights).weights)
    assert all(ledger[1, FIRST_TERM:REWARD]), "every term takes part"
    assert ledger[1, REWARD] == pytest.approx(ledger[1, FIRST_TERM:REWARD] @ np.arange(1.0, 6.0))


def test_parking_earns_nothing():
    assert total(situation(speed_mps=0.0, leader_speed_mps=0.0), action=1.0) == 0.0


def test_driving_earns_progress_and_nothing_above_the_limit():
    assert terms(situation())["progress"] == pytest.approx(0.1)
    assert terms(situation(speed_mps=40.0))["progress"] == pytest.approx(0.1)
    assert terms(situation(speed_mps=10.0))["progress"] == pytest.approx(0.05)


def test_a_harder_impact_costs_more_without_a_cliff():
    costs = [terms(situation(leader_speed_mps=v), collides=True)["collision"] for v in (20.0, 15.0, 10.0, 0.0)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] == -0.5
    assert np.abs(np.diff(costs)).max() < 1.0


def test_closing_in_is_unsafe_long_before_contact():
    values = [terms(situation(leader_speed_mps=5.0, gap_m=gap_m))["unsafe"] for gap_m in (80.0, 50.0, 30.0, 20.0, 5.0)]
    assert values[0] == 0.0
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(-0.1)


def test_only_the_agents_own_braking_is_charged():
    braked = situation(accel_mps2=-8.0)
    assert terms(braked)["braking"] == 0.0
    assert terms(braked, action=1.0)["braking"] == pytest.approx(-0.1)


def test_required_deceleration_and_time_to_collision():
    closing = situation(leader_speed_mps=10.0, gap_m=25.0)
    assert closing.required_decel_mps2 == pytest.approx(10.0**2 / (2 * 25.0))
    assert closing.time_to_collision_s == pytest.approx(2.5)
    assert situation(leader_id=None, gap_m=math.inf).time_to_collision_s == math.inf


@pytest.mark.parametrize(
    ("after", "gap_m", "expected"),
    [
        (state(), -0.1, Outcome.COLLISION),
        (state(collision("V009", "V001")), -0.1, Outcome.COLLISION),
        (state(collision("V001", "V002")), 0.2, Outcome.COLLISION),
        (state(collision("V009", "V001")), 40.0, Outcome.EGO_REAR_ENDED),
        (state(collision("V008", "V009")), 40.0, None),
        (state(), 40.0, None),
    ],
)
def test_outcomes_on_the_road(after, gap_m, expected):
    contact = ego_contact(after, "V001")
    assert judge(gap_m=gap_m, contact=contact, corners_too_hard=False, horizon_reached=False) == expected


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (state(arrived=("V001",)), Outcome.ROUTE_ENDED),
        (state(collision("V001", "V002")), Outcome.COLLISION),
        (state(arrived=("V002",)), Outcome.LEFT_ROAD),
    ],
)
def test_outcomes_of_an_ego_that_is_gone(after, expected):
    assert judge_vanished(after, "V001") is expected


def test_the_horizon_ends_an_episode_safely():
    assert judge(gap_m=40.0, contact=None, corners_too_hard=False, horizon_reached=True) is Outcome.SAFE


HAZARD = Hazard(rank=1, vehicle_id="V002", onset_s=2.0, decel_mps2=8.0, end_speed_fraction=0.0, resolves_s=4.0)
FACTS = EpisodeFacts(identity="train:1/0/0/0/0", scenario_id="s", base="b", peer_count=1)


def count_steps(hazard: Hazard | None, actions: dict[float, float], heard_s: float | None = None, now: Situation | None = None):
    times = HazardTimes()
    for time_s in actions:
        if hazard and time_s >= hazard.onset_s and times.fired_s is None:
            times.fires(time_s)
        if heard_s is not None and time_s >= heard_s:
            times.is_heard(time_s)
    ledger = written(*((now or situation(), action, time_s) for time_s, action in actions.items()))
    return summed_up(ledger, Outcome.SAFE, FACTS, EpisodeScript(hazard=hazard, benign=None, distractions=()), times, {})


def test_false_braking_counts_only_outside_the_hazard_window():
    record = count_steps(HAZARD, {1.0: 1.0, 2.0: 1.0, 4.5: 1.0, 5.5: 1.0, 6.0: 0.0})
    assert (record.steps_outside_hazard, record.false_braking_steps) == (3, 2)
    assert record.hazard_fired


@pytest.mark.parametrize(
    ("actions", "reaction_s"),
    [
        ({2.0: 0.0, 2.3: 0.0, 2.5: 1.0, 2.6: 1.0}, 0.2),
        ({1.9: 1.0, 2.0: 1.0, 2.3: 1.0, 2.6: 1.0}, None),  # braking all along is no reaction
        ({1.9: 1.0, 2.0: 1.0, 2.3: 0.0, 2.7: 0.0, 2.8: 1.0}, 0.5),  # a new rising edge is one
        ({2.0: 0.0, 2.1: 1.0, 2.2: 0.0, 2.3: 0.0}, -0.2),  # faster than the radio, as a radar can be
    ],
)
def test_the_reaction_is_the_first_rising_edge_after_the_onset_counted_from_the_first_hazard_message(actions, reaction_s):
    record = count_steps(HAZARD, actions, heard_s=2.3)
    assert record.hazard_heard_s == 2.3
    assert record.reaction_s == (None if reaction_s is None else pytest.approx(reaction_s))


def test_without_a_message_there_is_no_reaction():
    record = count_steps(HAZARD, {2.0: 0.0, 2.5: 1.0})
    assert (record.hazard_heard_s, record.reaction_s) == (None, None)


def test_braking_at_or_below_the_release_threshold_is_no_braking():
    record = count_steps(None, {0.0: RELEASE_THRESHOLD, 0.1: 0.063})
    assert (record.steps_outside_hazard, record.false_braking_steps) == (2, 1)
    assert not record.hazard_fired


def test_unsafe_time_comfort_and_peak_braking_are_counted():
    calm = count_steps(None, {0.0: 0.0, 0.1: 0.0})
    assert (calm.unsafe_steps, calm.rms_jerk_mps3, calm.peak_braking_mps2) == (0, 0.0, None)
    hard = count_steps(None, {0.0: 1.0, 0.1: 0.0}, now=situation(leader_speed_mps=5.0, gap_m=20.0, accel_mps2=-6.0))
    assert hard.unsafe_steps == 2
    assert hard.rms_jerk_mps3 == pytest.approx(60.0 / math.sqrt(2.0))  # from 0 to -6 m/s2 in the first step, constant in the second
    assert hard.peak_braking_mps2 == hard.max_decel_mps2 == pytest.approx(6.0)
    driver = count_steps(None, {0.0: 0.0}, now=situation(accel_mps2=-6.0))
    assert (driver.peak_braking_mps2, driver.max_decel_mps2) == (None, pytest.approx(6.0))


def test_the_sums_are_those_of_the_steps():
    closing = situation(leader_speed_mps=5.0, gap_m=20.0)
    ledger = written((situation(), 0.0, 0.0), (closing, 0.0, 0.1))
    record = summed_up(
        ledger, Outcome.COLLISION, FACTS, EpisodeScript(hazard=None, benign=None, distractions=()), HazardTimes(), {"own": 2.0}
    )
    assert record.steps == 2
    assert record.episode_return == pytest.approx(ledger[1:, REWARD].sum())
    assert record.reward_terms == {**dict(zip(TERM_NAMES, ledger[1:, FIRST_TERM:REWARD].sum(axis=0).tolist(), strict=True)), "own": 2.0}
    assert record.impact_speed_mps == 15.0
    assert (record.min_gap_m, record.min_time_to_collision_s) == (pytest.approx(20.0), pytest.approx(20.0 / 15.0))
    assert record.progress_m == pytest.approx(4.0)


def test_cornering_too_hard_leaves_the_road():
    assert judge(gap_m=40.0, contact=None, corners_too_hard=True, horizon_reached=False) is Outcome.LEFT_ROAD


def test_lateral_acceleration_is_that_of_the_bend_and_not_of_a_corner_in_its_polyline():
    speed_mps, radius_m = 12.0, 30.0
    turn_rad = speed_mps * 0.1 / radius_m
    bend, polyline = np.full(30, turn_rad), np.zeros(30)
    polyline[::5] = 5 * turn_rad
    assert lateral_accel_mps2(bend, speed_mps) == pytest.approx(speed_mps**2 / radius_m, rel=0.01)
    assert lateral_accel_mps2(polyline, speed_mps) == pytest.approx(speed_mps**2 / radius_m, rel=0.01)
    assert lateral_accel_mps2(np.array([0.3]), 12.0) < 4.0  # one corner, at the very beginning


def test_a_turn_across_west_is_a_small_one():
    ledger = new_ledger(1)
    columns = arrays(situation())
    look(ledger, 0, EGO, *columns, np.full(2, 3.1), 20.0)
    *_, lateral_mps2 = settle(ledger, 1, EGO, *columns, np.full(2, -3.1), 20.0, 0.0, 0.0, False, WEIGHTS)
    assert lateral_mps2 == pytest.approx(20.0 * (2 * math.pi - 6.2))
