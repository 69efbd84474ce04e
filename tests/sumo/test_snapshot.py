import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from traci import constants as tc

from roadsense.sumo.snapshot import heading_from_sumo, vehicle_states


def test_compass_points():
    headings = heading_from_sumo(np.array([0.0, 90.0, 180.0, 270.0, 360.0]))
    np.testing.assert_array_equal(headings, [math.pi / 2, 0.0, -math.pi / 2, math.pi, math.pi / 2])


@given(st.floats(0.0, 360.0))
def test_heading_is_the_same_direction_in_the_right_range(angle_deg):
    heading_rad = float(heading_from_sumo(np.array([angle_deg]))[0])
    assert -math.pi < heading_rad <= math.pi
    assert math.isclose(math.cos(heading_rad), math.sin(math.radians(angle_deg)), abs_tol=1e-9)
    assert math.isclose(math.sin(heading_rad), math.cos(math.radians(angle_deg)), abs_tol=1e-9)


def test_vehicles_off_the_lanes_are_left_out_and_nobody_is_a_valid_state():
    row = {
        tc.VAR_POSITION: (1.0, 2.0),
        tc.VAR_SPEED: 3.0,
        tc.VAR_ACCELERATION: 4.0,
        tc.VAR_ANGLE: 90.0,
        tc.VAR_LANEPOSITION: 5.0,
        tc.VAR_LENGTH: 6.0,
        tc.VAR_LANE_ID: "lane",
    }
    states = vehicle_states({"gone": {**row, tc.VAR_LANE_ID: ""}, "here": row})
    assert states.ids == ("here",)
    assert states.index == {"here": 0}
    found = (states.x_m, states.y_m, states.speed_mps, states.accel_mps2, states.heading_rad, states.lane_position_m, states.length_m)
    assert [values.tolist() for values in found] == [[1.0], [2.0], [3.0], [4.0], [0.0], [5.0], [6.0]]
    assert len(vehicle_states({})) == 0
