"""Degrees to metres near the ego; the same formulas as in `neighbours.h`."""

from __future__ import annotations

import math


def metres_per_degree(latitude_deg: float) -> tuple[float, float]:
    """A degree of latitude and a degree of longitude in metres at this latitude.

    Series of the meridian and parallel arcs of the WGS84 ellipsoid (National Imagery and Mapping Agency, TR 8350.2), good to centimetres.
    """
    phi = math.radians(latitude_deg)
    north_m = 111132.954 - 559.822 * math.cos(2 * phi) + 1.175 * math.cos(4 * phi)
    east_m = 111412.84 * math.cos(phi) - 93.5 * math.cos(3 * phi) + 0.118 * math.cos(5 * phi)
    return north_m, east_m


def offset_m(latitude_deg: float, longitude_deg: float, from_latitude_deg: float, from_longitude_deg: float) -> tuple[float, float]:
    """How far east and north a place lies of another one nearby, in metres; across the antimeridian as well."""
    north_m, east_m = metres_per_degree(from_latitude_deg)
    turned_deg = (longitude_deg - from_longitude_deg + 180.0) % 360.0 - 180.0
    return turned_deg * east_m, (latitude_deg - from_latitude_deg) * north_m


def heading_rad(compass_deg: float) -> float:
    """Clockwise from north in degrees to counter-clockwise from east in radians, in (-pi, pi]."""
    angle_rad = math.radians((90.0 - compass_deg) % 360.0)
    return angle_rad - 2 * math.pi if angle_rad > math.pi else angle_rad
