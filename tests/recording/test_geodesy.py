"""Degrees to metres."""

import math

import pytest

from roadsense.recording.geodesy import heading_rad, metres_per_degree, offset_m


# Lengths of a degree on the WGS84 ellipsoid, from its radii of curvature.
@pytest.mark.parametrize("latitude_deg", [0.0, 15.0, -33.0, 48.0, 60.0, 75.0])
def test_a_degree_of_longitude_shrinks_with_latitude(latitude_deg):
    a_m, e2 = 6378137.0, 0.00669437999014
    phi = math.radians(latitude_deg)
    root = 1 - e2 * math.sin(phi) ** 2
    north_m = math.radians(1) * a_m * (1 - e2) / root**1.5
    east_m = math.radians(1) * a_m / math.sqrt(root) * math.cos(phi)
    assert metres_per_degree(latitude_deg) == pytest.approx((north_m, east_m), abs=0.6)


def test_offsets_have_signs_and_cross_the_antimeridian():
    assert offset_m(48.001, 11.0, 48.0, 11.0) == pytest.approx((0.0, 111.2), abs=0.1)
    assert offset_m(60.0, 11.001, 60.0, 11.0) == pytest.approx((55.8, 0.0), abs=0.1)
    assert offset_m(0.0, -179.9995, 0.0, 179.9995)[0] == pytest.approx(111.3, abs=0.1)


@pytest.mark.parametrize(
    ("compass_deg", "expected_rad"), [(90, 0), (0, math.pi / 2), (180, -math.pi / 2), (270, math.pi), (-90, math.pi), (359, 1.5882)]
)
def test_headings(compass_deg, expected_rad):
    assert heading_rad(compass_deg) == pytest.approx(expected_rad, abs=1e-4)
