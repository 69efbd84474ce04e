"""The lean client against the stock one: the same states to the last bit, and no surprise on broken bytes."""

import contextlib
import os
import signal
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from traci import constants as tc
from traci.exceptions import TraCIException

from roadsense.errors import SumoError, UsageError
from roadsense.state import SpeedCommand
from roadsense.sumo.backend import SpeedWrite
from roadsense.sumo.faults import BROKEN_ANSWER
from roadsense.sumo.vehicle_layout import VehicleReader
from roadsense.sumo.wire import StepReader, check_settings, read_doubles, step_message

ARRAYS = ("x_m", "y_m", "speed_mps", "accel_mps2", "heading_rad", "lane_position_m", "length_m")


def course(session, options):
    """60 s with commands, releases, a crash, and cars that leave the road."""
    states = [session.reset(options, seed=11)]
    session.keep_lane(["V002", "V003"])
    states.append(session.advance(2.0))
    for step in range(600):
        commands = []
        if 20 <= step < 60:
            commands.append(SpeedCommand(vehicle_id="V003", speed_mps=max(0.0, 20.0 - step / 4)))
        if 30 <= step < 90:
            commands.append(SpeedCommand(vehicle_id="V002", speed_mps=25.0))  # into V003
        if step == 90:
            commands += [SpeedCommand(vehicle_id=car, speed_mps=None) for car in ("V002", "V003")]
        states.append(session.step(commands))
        if "V001" in states[-1].arrived_ids:
            break
    return states


def test_states_are_those_of_the_stock_client(make_session, road):
    stock = course(make_session(backend="traci-stock"), road.options())
    lean = course(make_session(), road.options())
    assert len(stock) == len(lean) > 300
    for one, other in zip(stock, lean, strict=True):
        assert (one.time_s, one.departed_ids, one.arrived_ids, one.collisions) == (
            other.time_s,
            other.departed_ids,
            other.arrived_ids,
            other.collisions,
        )
        assert (one.vehicles.ids, one.vehicles.lane_ids) == (other.vehicles.ids, other.vehicles.lane_ids)
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(one.vehicles, name), getattr(other.vehicles, name))
    assert any(state.collisions for state in lean)
    assert any(state.arrived_ids for state in lean)


@pytest.mark.parametrize("backend", ["traci", "traci-stock"])
def test_waiting_between_the_halves_changes_nothing(make_session, road, backend):
    sessions = [make_session(backend=backend) for _ in range(2)]
    for session in sessions:
        session.reset(road.options(), seed=3)
    waiting, plain = sessions
    for _ in range(20):
        for session in sessions:
            session.begin_step([SpeedCommand(vehicle_id="V001", speed_mps=12.0)])
        waiting.await_step()
        one, other = waiting.finish_step(), plain.finish_step()
        assert one.time_s == other.time_s
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(one.vehicles, name), getattr(other.vehicles, name))
    with pytest.raises(UsageError, match="without begin_step"):
        waiting.await_step()


def test_a_simulator_that_dies_while_it_is_awaited_is_let_go(make_session, road):
    session = make_session()
    session.reset(road.options(), seed=3)
    os.kill(session.pid, signal.SIGKILL)
    with pytest.raises(SumoError):
        for _ in range(100):
            session.begin_step()
            session.await_step()
            session.finish_step()
    assert session.pid is None
    assert session.reset(road.options(), seed=3).vehicles.ids


@pytest.mark.parametrize("backend", ["traci", "traci-stock"])
def test_settings_arrive_at_every_car(make_session, road, backend):
    """Asked back through the stock client's calls: all named cars, nobody else, and nothing is raised."""
    session = make_session(backend=backend)
    ids = session.reset(road.options(), seed=1).vehicles.ids
    stock = session._backend._api.vehicle
    modes, decels_mps2 = ({car: ask(car) for car in ids} for ask in (stock.getLaneChangeMode, stock.getEmergencyDecel))
    stock.setEmergencyDecel("V003", 5.0)
    session.keep_lane(car for car in ids if car != "V002")
    session.limit_emergency_decel(ids, 6.5)
    assert {car: stock.getLaneChangeMode(car) for car in ids} == {**dict.fromkeys(ids, 0), "V002": modes["V002"]}
    assert {car: stock.getEmergencyDecel(car) for car in ids} == {**dict.fromkeys(ids, 6.5), "V003": 5.0}
    assert modes["V002"] != 0 and min(decels_mps2.values()) > 6.5
    session.limit_emergency_decel(ids, 6)  # a whole number is one as well
    assert stock.getEmergencyDecel("V002") == 6.0
    session.keep_lane(())
    session.limit_emergency_decel((), 1.0)
    session.step()


@pytest.mark.parametrize("backend", ["traci", "traci-stock"])
def test_settings_of_a_car_that_is_not_there(make_session, road, backend):
    for change in (
        lambda session: session.keep_lane(["V001", "ghost"]),
        lambda session: session.limit_emergency_decel(["V001", "ghost"], 6),
    ):
        session = make_session(backend=backend)
        session.reset(road.options(), seed=1)
        with pytest.raises(SumoError, match=r"SUMO refused .*ghost"):
            change(session)
        assert session.pid is None
        session.reset(road.options(), seed=1)


def test_cars_of_the_last_scenario_are_not_seen_again(make_session, road):
    session = make_session()
    session.reset(road.options("before", departures={"V001": 0.0, "Z": 0.0}), seed=1)
    for state in (session.reset(road.options(), seed=1), session.advance(1.0)):
        assert "Z" not in state.vehicles.ids


def test_the_ego_may_leave_while_sumo_runs_alone(make_session, road):
    for backend in ("traci", "traci-stock", "libsumo"):
        session = make_session(backend=backend)
        state = session.reset(road.options(), seed=1)
        while "V001" not in state.arrived_ids:
            state = session.step()
        assert session.advance(1.0).time_s > state.time_s + 0.9
        session.reset(road.options(), seed=1)
        state = session.advance(500.0)
        assert state.time_s > 500.0 and "V001" in state.arrived_ids and not state.vehicles.ids
        assert session.advance(1.0).time_s > 501.0 and session.step().time_s > 501.0
        session.close()


def test_very_long_ids_go_through(make_session, road):
    """A command of more than 255 bytes is framed differently."""
    name = "V" + "1" * 300
    session = make_session(ego_id=name)
    session.reset(road.options("long", departures={name: 0.0}), seed=1)
    state = session.step([SpeedCommand(vehicle_id=name, speed_mps=7.0)])
    assert state.vehicles.speed_mps[state.vehicles.index[name]] == pytest.approx(7.0)


def status(command: int, result: int = 0, words: str = "") -> bytes:
    description = words.encode()
    return struct.pack("!BBBi", 7 + len(description), command, result, len(description)) + description


def test_a_refused_command_is_told_with_sumos_words():
    answer = status(tc.CMD_SET_VEHICLE_VARIABLE, tc.RTYPE_ERR, "no such car") + status(tc.CMD_SIMSTEP) + struct.pack("!i", 0)
    with pytest.raises(TraCIException, match="no such car"):
        StepReader().read(answer, (tc.CMD_SET_VEHICLE_VARIABLE, tc.CMD_SIMSTEP))


def test_an_answer_to_another_command_is_refused():
    with pytest.raises(ValueError, match="command"):
        StepReader().read(status(tc.CMD_LOAD) + struct.pack("!i", 0), (tc.CMD_SIMSTEP,))


def test_the_message_holds_every_command_in_order():
    writes = [SpeedWrite(vehicle_id="a", mode=32, speed_mps=1.0), SpeedWrite(vehicle_id="b", mode=None, speed_mps=-1.0)]
    message, commands = step_message(writes, 0.0)
    assert struct.unpack_from("!i", message)[0] == len(message)
    assert commands == (tc.CMD_SET_VEHICLE_VARIABLE,) * 3 + (tc.CMD_SIMSTEP,)


@given(st.binary(max_size=300), st.integers(1, 3))
def test_broken_bytes_end_in_an_expected_exception(answer, commands):
    with contextlib.suppress(*BROKEN_ANSWER):
        StepReader().read(answer, (tc.CMD_SIMSTEP,) * commands)


@given(st.binary(max_size=300), st.integers(1, 3))
def test_broken_answers_to_questions_end_in_an_expected_exception(answer, count):
    with contextlib.suppress(*BROKEN_ANSWER):
        read_doubles(answer, count)
    with contextlib.suppress(*BROKEN_ANSWER):
        check_settings(answer, [tc.CMD_SET_VEHICLE_VARIABLE] * count)


@given(st.data())
def test_a_torn_answer_ends_in_an_expected_exception(data):
    head = status(tc.CMD_SIMSTEP) + struct.pack("!i", 1)
    subscription = bytes((0,)) + struct.pack("!i", 99) + bytes((tc.RESPONSE_SUBSCRIBE_VEHICLE_CONTEXT,)) + struct.pack("!i", 1) + b"V"
    answer = head + subscription + bytes((tc.CMD_GET_VEHICLE_VARIABLE, 7)) + struct.pack("!i", 3) + struct.pack("!i", 1) + b"a"
    cut = data.draw(st.integers(0, len(answer)))
    with pytest.raises(BROKEN_ANSWER):
        StepReader().read(answer[:cut], (tc.CMD_SIMSTEP,))


def subscribed(cars) -> bytes:
    """The vehicles of a context subscription as SUMO writes them: (id, lane, seven numbers) of each car."""
    content = bytes((tc.CMD_GET_VEHICLE_VARIABLE, 7)) + struct.pack("!i", len(cars))
    for name, lane, (x, y, speed, angle, accel, lane_position, length) in cars:
        content += struct.pack("!i", len(name.encode())) + name.encode()
        content += bytes((tc.VAR_POSITION, 0, tc.POSITION_2D)) + struct.pack("!dd", x, y)
        for variable, value in ((tc.VAR_SPEED, speed), (tc.VAR_ANGLE, angle), (tc.VAR_ACCELERATION, accel)):
            content += bytes((variable, 0, tc.TYPE_DOUBLE)) + struct.pack("!d", value)
        content += bytes((tc.VAR_LANE_ID, 0, tc.TYPE_STRING)) + struct.pack("!i", len(lane.encode())) + lane.encode()
        for variable, value in ((tc.VAR_LANEPOSITION, lane_position), (tc.VAR_LENGTH, length)):
            content += bytes((variable, 0, tc.TYPE_DOUBLE)) + struct.pack("!d", value)
    return content


numbers = st.tuples(*[st.floats(-1e6, 1e6)] * 7)
cars = st.lists(
    st.tuples(st.sampled_from(["a", "b", "cc", "d\u00e4"]), st.sampled_from(["", "l", "m", "lane"]), numbers),
    max_size=4,
    unique_by=lambda car: car[0],
)


@given(st.lists(cars, max_size=5), st.integers(0, 3))
def test_a_reader_that_remembers_reads_what_a_new_one_reads(answers, before):
    """Cars that come, go, change lanes or lose theirs between two answers, and anything in front of and behind them."""
    reader = VehicleReader()
    for content in map(subscribed, answers):
        answer = bytes(before) + content + b"rest"
        remembering, end = reader.read(answer, before)
        fresh, fresh_end = VehicleReader().read(answer, before)
        assert end == fresh_end == before + len(content)
        assert (remembering.ids, remembering.lane_ids, dict(remembering.index)) == (fresh.ids, fresh.lane_ids, dict(fresh.index))
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(remembering, name), getattr(fresh, name))


@given(cars.filter(len), st.data())
def test_the_numbers_are_the_cars_own(on_the_road, data):
    reader = VehicleReader()
    moved = [(name, lane, data.draw(numbers)) for name, lane, _ in on_the_road]
    for shown in (on_the_road, moved):
        states, _ = reader.read(subscribed(shown), 0)
        on_lanes = {name: (lane, values) for name, lane, values in shown if lane}
        assert states.ids == tuple(sorted(on_lanes))
        for row, name in enumerate(states.ids):
            lane, (x, y, speed, _, accel, lane_position, length) = on_lanes[name]
            assert states.lane_ids[row] == lane
            found = [getattr(states, field)[row] for field in ARRAYS if field != "heading_rad"]
            assert found == [x, y, speed, accel, lane_position, length]


@given(cars.filter(len), st.data())
def test_a_changed_byte_outside_the_numbers_is_never_taken_for_the_layout_before(on_the_road, data):
    """It is read anew: refused, or read as what it says now."""
    content = subscribed(on_the_road)
    reader = VehicleReader()
    reader.read(content, 0)
    changed = bytearray(content)
    changed[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        expected, end = VehicleReader().read(bytes(changed), 0)
    except BROKEN_ANSWER:
        with pytest.raises(BROKEN_ANSWER):
            reader.read(bytes(changed), 0)
        return
    states, same_end = reader.read(bytes(changed), 0)
    assert (states.ids, states.lane_ids, end) == (expected.ids, expected.lane_ids, same_end)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(states, name), getattr(expected, name))


def step_answer(time_s, on_the_road, departed=()) -> bytes:
    """SUMO's whole answer to a step; without a subscription to vehicles where `on_the_road` is None."""
    simulation = bytes((4, tc.VAR_TIME, 0, tc.TYPE_DOUBLE)) + struct.pack("!d", time_s)
    for variable, ids in ((tc.VAR_DEPARTED_VEHICLES_IDS, departed), (tc.VAR_ARRIVED_VEHICLES_IDS, ())):
        simulation += bytes((variable, 0, tc.TYPE_STRINGLIST)) + struct.pack("!i", len(ids))
        simulation += b"".join(struct.pack("!i", len(name.encode())) + name.encode() for name in ids)
    simulation += bytes((tc.VAR_COLLISIONS, 0, tc.TYPE_COMPOUND)) + struct.pack("!iBi", 1, tc.TYPE_INTEGER, 0)
    parts = [bytes((0,)) + struct.pack("!iBi", 99, tc.RESPONSE_SUBSCRIBE_SIM_VARIABLE, 0) + simulation]
    if on_the_road is not None:
        named = struct.pack("!i", 1) + b"V"
        parts.append(bytes((0,)) + struct.pack("!iB", 99, tc.RESPONSE_SUBSCRIBE_VEHICLE_CONTEXT) + named + subscribed(on_the_road))
    return status(tc.CMD_SIMSTEP) + struct.pack("!i", len(parts)) + b"".join(parts)


def assert_same_state(one, other):
    assert (one.time_s, one.departed_ids, one.arrived_ids, one.collisions) == (
        other.time_s,
        other.departed_ids,
        other.arrived_ids,
        other.collisions,
    )
    assert (one.vehicles.ids, one.vehicles.lane_ids, one.vehicles.index) == (
        other.vehicles.ids,
        other.vehicles.lane_ids,
        other.vehicles.index,
    )
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one.vehicles, name), getattr(other.vehicles, name))


STEP = (tc.CMD_SIMSTEP,)


def quickly(reader, answer):
    """As the backend asks: behind the answer lies what is left of an earlier one."""
    return reader.quick(np.frombuffer(answer + b"left over", np.uint8), len(answer), STEP)


times_s = st.floats(0.0, 1e6)


@given(st.lists(st.tuples(times_s, st.none() | cars, st.sampled_from([(), (), ("a",)])), max_size=6))
def test_an_answer_read_at_one_look_says_what_the_reader_says(answers):
    reader = StepReader()
    for answer in (step_answer(*said) for said in answers):
        expected = StepReader().read(answer, STEP)
        quick = quickly(reader, answer)
        if quick is not None:
            assert_same_state(quick, expected)
        assert_same_state(reader.read(answer, STEP), expected)


@given(cars, st.data())
def test_numbers_alone_are_read_at_one_look(on_the_road, data):
    reader = StepReader()
    first = reader.read(step_answer(1.0, on_the_road), STEP)
    moved = step_answer(data.draw(times_s), [(name, lane, data.draw(numbers)) for name, lane, _ in on_the_road])
    quick = quickly(reader, moved)
    assert_same_state(quick, StepReader().read(moved, STEP))
    assert quick.vehicles.ids is first.vehicles.ids
    assert reader.quick(np.frombuffer(moved, np.uint8), len(moved), (tc.CMD_SET_VEHICLE_VARIABLE, *STEP)) is None
    assert quickly(reader, moved[:-1]) is None
    assert quickly(reader, step_answer(1.0, on_the_road, ("a",))) is None


@given(cars, st.data())
def test_a_changed_byte_of_a_whole_answer_is_never_overlooked(on_the_road, data):
    """It is left to the reader, or is a number's and read as what it says now."""
    answer = step_answer(1.0, on_the_road)
    reader = StepReader()
    reader.read(answer, STEP)
    changed = bytearray(answer)
    changed[data.draw(st.integers(0, len(answer) - 1))] ^= data.draw(st.integers(1, 255))
    quick = quickly(reader, bytes(changed))
    if quick is not None:
        assert_same_state(quick, StepReader().read(bytes(changed), STEP))
