"""What the ideal forward radar sees, on hand-made geometry: range, field, line of sight, and the rear bumper."""

import math

import numpy as np
import pytest

from roadsense.evaluation.reference.forward_radar import CAR_WIDTH_M, crosses_body, look, rear_bumper
from roadsense.state import VehicleStates


def cars(**placed: tuple[float, float, float, float, float]) -> VehicleStates:
    """Cars as name=(x_m, y_m of the front bumper, heading in degrees, speed_mps, length_m), sorted by name as sessions do."""
    ids = tuple(sorted(placed))
    x_m, y_m, heading_deg, speed_mps, length_m = np.array([placed[name] for name in ids], dtype=float).T
    nothing = np.zeros(len(ids))
    return VehicleStates(
        ids=ids,
        lane_ids=("lane_0",) * len(ids),
        x_m=x_m,
        y_m=y_m,
        speed_mps=speed_mps,
        accel_mps2=nothing,
        heading_rad=np.deg2rad(heading_deg),
        lane_position_m=nothing,
        length_m=length_m,
        index={name: row for row, name in enumerate(ids)},
    )


EGO = (0.0, 0.0, 0.0, 20.0, 5.0)


def seen(leader, **others):
    return look(cars(ego=EGO, leader=leader, **others), "ego", "leader")


def test_range_runs_to_the_rear_bumper_and_speed_is_the_difference():
    echo = seen((35.0, 0.0, 0.0, 12.0, 5.0))
    assert echo.range_m == pytest.approx(30.0)
    assert echo.closing_speed_mps == pytest.approx(8.0)


def test_the_rear_bumper_lies_a_length_behind_the_front_against_the_heading():
    assert rear_bumper(cars(a=(10.0, 20.0, 90.0, 0.0, 4.0)), 0) == pytest.approx((10.0, 16.0))


@pytest.mark.parametrize(("front_m", "is_seen"), [(64.9, True), (65.1, False)])
def test_it_sees_rear_bumpers_up_to_60_m(front_m, is_seen):
    assert (seen((front_m, 0.0, 0.0, 20.0, 5.0)) is not None) == is_seen


def test_a_long_truck_is_seen_whose_front_is_out_of_range():
    assert seen((74.0, 0.0, 0.0, 20.0, 16.0)).range_m == pytest.approx(58.0)


@pytest.mark.parametrize(("bearing_deg", "is_seen"), [(19.5, True), (-19.5, True), (20.5, False), (-20.5, False), (180.0, False)])
def test_it_sees_20_degrees_to_either_side(bearing_deg, is_seen):
    rear = (40.0 * math.cos(math.radians(bearing_deg)), 40.0 * math.sin(math.radians(bearing_deg)))
    assert (seen((rear[0] + 5.0, rear[1], 0.0, 20.0, 5.0)) is not None) == is_seen


@pytest.mark.parametrize("ego_heading_deg", [-170.0, -45.0, 60.0, 179.0])
def test_the_field_turns_with_the_ego(ego_heading_deg):
    def placed(bearing_deg, distance_m):
        angle = math.radians(ego_heading_deg + bearing_deg)
        return (100.0 + distance_m * math.cos(angle), -50.0 + distance_m * math.sin(angle), ego_heading_deg, 20.0, 5.0)

    ego = (100.0, -50.0, ego_heading_deg, 20.0, 5.0)
    assert look(cars(ego=ego, leader=placed(0.0, 40.0)), "ego", "leader").range_m == pytest.approx(35.0)
    assert look(cars(ego=ego, leader=placed(60.0, 40.0)), "ego", "leader") is None


def test_a_bend_hides_the_leader():
    """On a circle of 25 m radius a leader 20 m ahead along the arc stands 23 degrees to the side; at 10 m it is seen."""

    def on_arc(arc_m):
        angle = arc_m / 25.0
        return (25.0 * math.sin(angle), 25.0 * (1 - math.cos(angle)), math.degrees(angle), 10.0, 4.0)

    assert seen(on_arc(14.0)) is not None
    assert seen(on_arc(24.0)) is None


def test_a_car_between_hides_the_one_ahead():
    assert seen((50.0, 0.0, 0.0, 20.0, 5.0), between=(30.0, 0.5, 0.0, 20.0, 5.0)) is None


@pytest.mark.parametrize(("offset_m", "is_seen"), [(0.8, False), (1.0, True), (-0.8, False), (-1.0, True)])
def test_a_car_beside_the_line_of_sight_hides_nothing_beyond_half_its_width(offset_m, is_seen):
    assert (seen((50.0, 0.0, 0.0, 20.0, 5.0), between=(30.0, offset_m, 0.0, 20.0, 5.0)) is not None) == is_seen


def test_the_side_of_a_car_that_crosses_hides_the_leader():
    crossing = (30.0, 2.0, 90.0, 5.0, 5.0)  # body from y = -3 to 2
    assert seen((50.0, 0.0, 0.0, 20.0, 5.0), crossing=crossing) is None
    assert seen((50.0, 0.0, 0.0, 20.0, 5.0), crossing=(30.0, -0.5, 90.0, 5.0, 5.0)) is not None


def test_neither_cars_behind_nor_beyond_the_leader_hide_it():
    assert seen((30.0, 0.0, 0.0, 20.0, 5.0), behind=(-10.0, 0.0, 0.0, 20.0, 5.0), beyond=(40.0, 0.0, 0.0, 20.0, 5.0)) is not None


def test_the_bodies_of_ego_and_leader_hide_nothing():
    overlapping = (1.0, 0.0, 0.0, 20.0, 5.0)  # rear bumper behind the ego's front: nothing ahead to see
    assert seen(overlapping) is None
    assert seen((5.2, 0.0, 0.0, 20.0, 5.0)).range_m == pytest.approx(0.2)


@pytest.mark.parametrize("missing", ["ego", "leader"])
def test_who_is_not_on_the_road_sees_and_shows_nothing(missing):
    names = {"ego": EGO, "leader": (30.0, 0.0, 0.0, 20.0, 5.0)}
    del names[missing]
    assert look(cars(**names), "ego", "leader") is None


def test_crossing_agrees_with_points_along_the_segment():
    """A segment touches a body where one of its finely spaced points lies inside; random bodies, random segments."""
    rng = np.random.default_rng(11)
    disagreements = 0
    for _ in range(400):
        x_m, y_m, heading_deg, length_m = rng.uniform((-20, -20, -180, 2), (20, 20, 180, 18))
        start, end = rng.uniform(-25, 25, 2), rng.uniform(-25, 25, 2)
        points = start + np.linspace(0, 1, 2001)[:, None] * (end - start)
        east_m, north_m = (points - (x_m, y_m)).T
        cos, sin = math.cos(math.radians(heading_deg)), math.sin(math.radians(heading_deg))
        along_m, across_m = east_m * cos + north_m * sin, north_m * cos - east_m * sin
        inside = bool(((along_m <= 0) & (along_m >= -length_m) & (np.abs(across_m) <= CAR_WIDTH_M / 2)).any())
        found = bool(crosses_body(cars(a=(x_m, y_m, heading_deg, 0.0, length_m)), tuple(start), tuple(end))[0])
        disagreements += found != inside
    assert disagreements <= 2  # corners that fall between two points


def test_a_segment_along_a_side_is_inside_only_within_the_width():
    body = cars(a=(10.0, 0.0, 0.0, 0.0, 5.0))
    assert crosses_body(body, (0.0, 0.5), (20.0, 0.5))[0]
    assert not crosses_body(body, (0.0, 1.5), (20.0, 1.5))[0]
    assert not crosses_body(body, (0.0, 0.5), (4.0, 0.5))[0]
