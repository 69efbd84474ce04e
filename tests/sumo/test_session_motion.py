"""What a session says the cars do, and whether they do what they are told."""

import math

import numpy as np
import pytest

from roadsense.config import STEP_LENGTH_S
from roadsense.errors import EgoNeverAppearedError, SumoError, UsageError
from roadsense.state import SpeedCommand

ARRAYS = ("x_m", "y_m", "speed_mps", "accel_mps2", "heading_rad", "lane_position_m", "length_m")


def command(vehicle_id, speed_mps):
    return SpeedCommand(vehicle_id=vehicle_id, speed_mps=speed_mps)


def speed_of(state, vehicle_id):
    return float(state.vehicles.speed_mps[state.vehicles.index[vehicle_id]])


def played(session, options, seed):
    """An episode with commands in it."""
    states = [session.reset(options, seed=seed), session.advance(2.0)]
    for step in range(100):
        commands = [command("V003", 8.0)] if 10 <= step < 40 else [command("V003", None)]
        states.append(session.step(commands))
    return states


def test_first_state(session, road):
    state = session.reset(road.options(), seed=1)
    cars = state.vehicles
    assert cars.ids == ("V001", "V002", "V003", "V004", "V005", "V006")
    assert state.departed_ids and set(state.departed_ids) == set(cars.ids)
    assert state.time_s == pytest.approx(STEP_LENGTH_S)
    np.testing.assert_allclose(cars.x_m, 100.0 + 30.0 * np.arange(6))
    np.testing.assert_array_equal(cars.lane_position_m, cars.x_m)
    np.testing.assert_array_equal(cars.heading_rad, np.zeros(6))
    np.testing.assert_array_equal(cars.length_m, np.full(6, 5.0))
    assert set(cars.lane_ids) == {"first_0"}
    assert session.route_edges("V001") == ("first", "second")


def test_reloading_equals_a_fresh_process_bit_for_bit(make_session, road):
    options = road.options()
    fresh = played(make_session(), options, 7)
    reloaded = make_session()
    played(reloaded, road.options("other", departures={"V001": 0.0, "X": 1.0, "Y": 2.0, "V003": 0.0}), 3)
    pid = reloaded.pid
    again = played(reloaded, options, 7)
    assert reloaded.pid == pid and reloaded.restarts == 1
    assert [state.time_s for state in again] == [state.time_s for state in fresh]
    for one, other in zip(fresh, again, strict=True):
        assert one.vehicles.ids == other.vehicles.ids
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(one.vehicles, name), getattr(other.vehicles, name))


def test_seeds_make_a_difference(session, road):
    ends = [played(session, road.options(), seed)[-1].vehicles.x_m for seed in (1, 2)]
    assert not np.array_equal(ends[0], ends[1])


def test_commanded_braking_is_achieved_beyond_the_types_decel(session, road):
    session.reset(road.options(), seed=1)
    state = session.advance(3.0)
    while (speed_mps := speed_of(state, "V002")) > 2.0:
        position_m = state.vehicles.x_m[state.vehicles.index["V002"]]
        state = session.step([command("V002", speed_mps - 8.0 * STEP_LENGTH_S)])
        row = state.vehicles.index["V002"]
        assert (speed_mps - state.vehicles.speed_mps[row]) / STEP_LENGTH_S == pytest.approx(8.0, rel=0.05)
        assert state.vehicles.accel_mps2[row] == pytest.approx(-8.0, rel=0.05)
        assert state.vehicles.x_m[row] - position_m == pytest.approx(state.vehicles.speed_mps[row] * STEP_LENGTH_S, abs=1e-6)


def test_a_commanded_car_runs_into_its_leader_and_stays_on_the_road(session, road):
    session.keep_lane(session.reset(road.options(), seed=1).vehicles.ids)
    for _ in range(80):
        state = session.step([command("V001", 25.0), command("V002", 0.0)])
        if state.collisions:
            break
    (contact,) = state.collisions
    assert (contact.collider_id, contact.victim_id, contact.kind) == ("V001", "V002", "collision")
    assert contact.collider_speed_mps == pytest.approx(25.0)
    assert contact.victim_speed_mps == pytest.approx(0.0)
    bumper_gap_m = np.subtract(*state.vehicles.x_m[[1, 0]]) - 5.0
    assert -2.51 < bumper_gap_m < 0.0
    assert {"V001", "V002"} <= set(session.step().vehicles.ids)


def test_a_released_car_is_its_drivers_again(session, road):
    session.keep_lane(session.reset(road.options(gap_m=80.0), seed=1).vehicles.ids)
    session.step([command("V001", 20.0), command("V002", 0.0)])
    for _ in range(150):
        state = session.step([command("V001", None)])
        assert not state.collisions
    assert speed_of(state, "V001") < 0.5


def test_a_car_keeps_its_last_command(session, road):
    session.reset(road.options(), seed=1)
    session.step([command("V006", 12.5)])
    for _ in range(5):
        assert speed_of(session.step(), "V006") == pytest.approx(12.5)
    session.step([command("V006", None)])
    assert speed_of(session.advance(8.0), "V006") > 22.0


def test_step_length_and_collision_handling_are_enforced(session, road, tmp_path):
    network, routes = road.options()[1::2]
    config = tmp_path / "odd.sumocfg"
    config.write_text(
        f'<configuration><net-file value="{network}"/><route-files value="{routes}"/><step-length value="0.5"/><random value="true"/>'
        '<collision.action value="remove"/><seed value="5"/></configuration>'
    )
    odd = [played(session, options, 7) for options in (["-c", str(config)], [*road.options(), "--step-length", "1", "--random"])]
    plain = played(session, road.options(), 7)
    for states in odd:
        assert [state.time_s for state in states] == [state.time_s for state in plain]
        np.testing.assert_array_equal(states[-1].vehicles.x_m, plain[-1].vehicles.x_m)


def test_a_late_ego_is_waited_for(session, road):
    state = session.reset(road.options("late", departures={"V001": 12.3, "V002": 0.0}), seed=1)
    assert state.time_s == pytest.approx(12.4)
    assert state.departed_ids == ("V001",)
    assert set(state.vehicles.ids) == {"V001", "V002"}


def test_an_ego_that_never_comes_is_named_with_those_who_came(make_session, road):
    session = make_session(ego_id="EGO", ego_wait_s=5.0)
    with pytest.raises(EgoNeverAppearedError, match=r"'EGO' did not enter the road within 5 s.*V001, V002.* and 1 more.*name an ego"):
        session.reset(road.options(), seed=1)
    assert session.pid is None
    with pytest.raises(EgoNeverAppearedError, match="no vehicle at all"):
        session.reset(road.options("nobody", departures={"V001": 6.0}), seed=1)
    assert "EGO" in session.reset(road.options("in_time", departures={"EGO": 4.9}), seed=1).vehicles.ids


def test_advance_is_one_jump_that_loses_no_departure(session, road):
    state = session.reset(road.options("late_peers", departures={"V001": 0.0, "V002": 1.0, "V003": 2.0}, gap_m=200.0), seed=1)
    state = session.advance(3.0)
    assert state.time_s == pytest.approx(3.1)
    assert set(state.departed_ids) == {"V002", "V003"}
    assert set(state.vehicles.ids) == {"V001", "V002", "V003"}
    assert session.advance(0.3).time_s == pytest.approx(3.4)
    assert session.step().time_s == pytest.approx(3.5)


def test_the_ego_leaves_the_road(session, road):
    session.reset(road.options("alone", departures={"V001": 0.0}), seed=1)
    state = session.step([command("V001", 28.0)])
    while not state.arrived_ids:
        assert state.vehicles.ids == ("V001",)
        state = session.step([command("V001", 28.0)])
    assert state.arrived_ids == ("V001",)
    assert len(state.vehicles) == 0
    assert len(session.step([command("V001", None)]).vehicles) == 0


def test_only_vehicles_within_the_radius_are_watched(make_session, road):
    state = make_session(watch_radius_m=70.0).reset(road.options(), seed=1)
    assert state.vehicles.ids == ("V001", "V002", "V003")


def test_lanes_are_kept(session, road):
    state = session.reset(road.options(), seed=1)
    session.keep_lane(state.vehicles.ids)
    for _ in range(200):
        state = session.step([command("V006", 3.0)])
    assert {lane.rpartition("_")[2] for lane in state.vehicles.lane_ids} == {"0"}
    assert min(speed_of(state, car) for car in ("V004", "V005")) < 4.0


def test_emergency_braking_is_limited(session, road):
    def hardest_mps2(limit_mps2):
        state = session.reset(road.options(), seed=1)
        session.keep_lane(state.vehicles.ids)
        if limit_mps2 is not None:
            session.limit_emergency_decel(state.vehicles.ids, limit_mps2)
        hardest = 0.0
        for _ in range(30):
            state = session.step([command("V006", 0.0)])
            hardest = max(hardest, -float(np.min(state.vehicles.accel_mps2[:-1])))
        return hardest

    assert hardest_mps2(None) == pytest.approx(9.0, abs=0.2)
    assert hardest_mps2(20.0) == pytest.approx(9.0, abs=0.2)  # never raised
    assert hardest_mps2(6.0) == pytest.approx(6.0, abs=0.2)


def test_halves_of_a_step_make_a_whole(make_session, road):
    whole, halves = make_session(), make_session()
    for session in (whole, halves):
        session.reset(road.options(), seed=7)
    for _ in range(20):
        halves.begin_step([command("V001", 15.0)])
        expected = whole.step([command("V001", 15.0)])
        np.testing.assert_array_equal(halves.finish_step().vehicles.x_m, expected.vehicles.x_m)
    with pytest.raises(UsageError, match="in pairs"):
        halves.finish_step()
    halves.begin_step()
    with pytest.raises(UsageError, match="in pairs"):
        halves.begin_step()
    assert halves.finish_step().time_s > 2.0


@pytest.mark.parametrize("speed_mps", [-1.0, math.nan, math.inf])
def test_senseless_commands_touch_nothing(session, road, speed_mps):
    session.reset(road.options(), seed=1)
    with pytest.raises(UsageError, match="finite speed"):
        session.step([command("V001", speed_mps)])
    for duration_s in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(UsageError, match="positive, finite"):
            session.advance(duration_s)
    with pytest.raises(UsageError, match="seed -1"):
        session.reset(road.options(), seed=-1)
    assert session.step().time_s == pytest.approx(0.2)


def test_commands_to_nobody_are_refused_by_name(session, road):
    session.reset(road.options(), seed=1)
    with pytest.raises(SumoError, match=r"refused commanding vehicle 'V099'.*V099.*on the road"):
        session.step([command("V099", 5.0)])
    session.reset(road.options(), seed=1)
    with pytest.raises(SumoError, match="V099"):
        session.route_edges("V099")
    with pytest.raises(SumoError, match="call reset first"):
        session.step()
