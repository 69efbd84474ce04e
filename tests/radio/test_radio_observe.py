"""The ego's frame: hand-computed cases, wrapped angles, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadsense.features import PEER_COLUMN, PEER_SIZE
from roadsense.radio.angles import wrapped
from roadsense.radio.message import HeardPeers, OwnMeasurement
from roadsense.radio.observe import observe_peers, peers_from_observation

finite = st.floats(-1000.0, 1000.0)
angle = st.floats(-np.pi, np.pi)


def _own(x_m: float = 0.0, y_m: float = 0.0, speed_mps: float = 0.0, heading_rad: float = 0.0) -> OwnMeasurement:
    return OwnMeasurement(x_m=x_m, y_m=y_m, speed_mps=speed_mps, accel_mps2=0.0, heading_rad=heading_rad)


def _heard(*rows: tuple[float, float, float, float, float, float]) -> HeardPeers:
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 6).T
    return HeardPeers(
        source_ids=tuple(f"V{row}" for row in range(len(rows))),
        x_m=columns[0],
        y_m=columns[1],
        speed_mps=columns[2],
        accel_mps2=columns[3],
        heading_rad=columns[4],
        age_s=columns[5],
    )


@pytest.mark.parametrize(
    ("heading_rad", "peer_xy_m", "forward_m", "left_m"),
    [
        (0.0, (110.0, 200.0), 10.0, 0.0),
        (0.0, (100.0, 210.0), 0.0, 10.0),
        (np.pi / 2, (100.0, 210.0), 10.0, 0.0),
        (np.pi / 2, (110.0, 200.0), 0.0, -10.0),
        (np.pi, (90.0, 195.0), 10.0, 5.0),
        (-np.pi / 2, (103.0, 180.0), 20.0, 3.0),
        (np.pi / 6, (100.0 + 10 * np.sqrt(3), 210.0), 20.0, 0.0),
    ],
)
def test_positions_by_hand(heading_rad: float, peer_xy_m: tuple[float, float], forward_m: float, left_m: float) -> None:
    values = observe_peers(_own(100.0, 200.0, heading_rad=heading_rad), _heard((*peer_xy_m, 0.0, 0.0, 0.0, 0.0)))
    assert values.dtype == np.float32
    assert values.shape == (1, PEER_SIZE)
    assert values[0, :2] * 100.0 == pytest.approx([forward_m, left_m], abs=1e-4)


def test_every_column_is_divided_by_its_scale() -> None:
    values = observe_peers(_own(speed_mps=20.0, heading_rad=0.0), _heard((50.0, -25.0, 15.0, -4.0, np.pi / 2, 0.25)))
    assert values[0] == pytest.approx([0.5, -0.25, -0.5, 0.5, -0.5, 0.5])


@pytest.mark.parametrize(
    ("own_rad", "peer_rad", "relative_rad"),
    [(3.0, -3.0, 2 * np.pi - 6.0), (-3.0, 3.0, 6.0 - 2 * np.pi), (0.0, np.pi, np.pi), (np.pi, 0.0, np.pi), (1.0, 1.0, 0.0)],
)
def test_relative_heading_is_wrapped(own_rad: float, peer_rad: float, relative_rad: float) -> None:
    values = observe_peers(_own(heading_rad=own_rad), _heard((0.0, 0.0, 0.0, 0.0, peer_rad, 0.0)))
    assert peers_from_observation(values)[0, PEER_COLUMN["relative_heading_rad"]] == pytest.approx(relative_rad, abs=1e-6)


def test_nobody_heard_is_an_empty_array() -> None:
    values = observe_peers(_own(), _heard())
    assert values.shape == (0, PEER_SIZE)
    assert values.dtype == np.float32
    assert peers_from_observation(values).shape == (0, PEER_SIZE)


@given(ego=st.tuples(finite, finite, angle), turn_rad=angle, shift=st.tuples(finite, finite), peer=st.tuples(finite, finite, angle))
def test_observation_knows_no_global_position_or_heading(
    ego: tuple[float, float, float], turn_rad: float, shift: tuple[float, float], peer: tuple[float, float, float]
) -> None:
    """Moving and turning the whole world changes nothing."""

    def moved(x_m: float, y_m: float, heading_rad: float) -> tuple[float, float, float]:
        cos, sin = np.cos(turn_rad), np.sin(turn_rad)
        return x_m * cos - y_m * sin + shift[0], x_m * sin + y_m * cos + shift[1], wrapped(heading_rad + turn_rad)

    def observed(ego: tuple[float, float, float], peer: tuple[float, float, float]) -> np.ndarray:
        physical = peers_from_observation(observe_peers(_own(*ego[:2], heading_rad=ego[2]), _heard((*peer[:2], 5.0, 1.0, peer[2], 0.1))))[0]
        heading_rad = physical[PEER_COLUMN["relative_heading_rad"]]
        return np.array([*physical[:3], *physical[4:], np.cos(heading_rad), np.sin(heading_rad)])

    assert observed(moved(*ego), moved(*peer)) == pytest.approx(observed(ego, peer), abs=1e-3)


@given(
    peers=st.lists(st.tuples(finite, finite, st.floats(0, 60), st.floats(-10, 5), angle, st.floats(0, 0.5)), max_size=8),
    own=st.tuples(finite, finite, angle),
)
def test_round_trip_gives_the_world_back(
    peers: list[tuple[float, float, float, float, float, float]], own: tuple[float, float, float]
) -> None:
    ego = _own(*own[:2], speed_mps=17.0, heading_rad=own[2])
    heard = _heard(*peers)
    physical = peers_from_observation(observe_peers(ego, heard))
    assert physical.dtype == np.float64
    forward_m, left_m = physical[:, PEER_COLUMN["forward_m"]], physical[:, PEER_COLUMN["left_m"]]
    cos, sin = np.cos(own[2]), np.sin(own[2])
    assert own[0] + forward_m * cos - left_m * sin == pytest.approx(heard.x_m, abs=1e-3)
    assert own[1] + forward_m * sin + left_m * cos == pytest.approx(heard.y_m, abs=1e-3)
    assert physical[:, PEER_COLUMN["relative_speed_mps"]] + 17.0 == pytest.approx(heard.speed_mps, abs=1e-4)
    assert physical[:, PEER_COLUMN["accel_mps2"]] == pytest.approx(heard.accel_mps2, abs=1e-4)
    assert physical[:, PEER_COLUMN["age_s"]] == pytest.approx(heard.age_s, abs=1e-6)


@given(angle_rad=st.floats(-1e4, 1e4))
def test_wrapped_angles_lie_in_the_half_open_interval(angle_rad: float) -> None:
    turned_rad = wrapped(angle_rad)
    assert -np.pi < turned_rad <= np.pi
    assert np.cos(turned_rad) == pytest.approx(np.cos(angle_rad), abs=1e-9)
    assert np.sin(turned_rad) == pytest.approx(np.sin(angle_rad), abs=1e-9)
    if -np.pi < angle_rad <= np.pi:
        assert turned_rad == angle_rad


@pytest.mark.parametrize(
    "angle_rad",
    [-np.pi, np.pi, 3 * np.pi, -2001 * np.pi, 1999 * np.pi, np.nextafter(np.pi, 4), np.nextafter(-np.pi, 0), np.nextafter(-np.pi, -4)],
)
def test_wrapping_at_the_seam(angle_rad: float) -> None:
    turned_rad = wrapped(angle_rad)
    assert -np.pi < turned_rad <= np.pi
    assert abs(turned_rad) == pytest.approx(np.pi)
