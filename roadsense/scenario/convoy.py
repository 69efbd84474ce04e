"""Drawing a convoy: who drives ahead of the ego and who behind, how fast, how close, and where on the road.

Cars are listed front to rear. V002 is the car directly ahead of the ego, V003 the one ahead of it, and so on; the cars behind continue
the numbering, nearest first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from roadsense.errors import DatasetError
from roadsense.scenario.convoy_settings import ConvoySettings
from roadsense.scenario.sampler import Streams

SPEED_FACTOR_RANGE: Final = (0.8, 1.2)
SIGMA_RANGE: Final = (0.0, 0.5)
SPAWN_JITTER_S: Final = (0.0, 2.0)
HORIZON_S: Final = 55.0  # warm-up, episode and 5 s to spare; nobody of the convoy leaves the road within it

_ROAD_MARGIN_M: Final = 20.0
# What SUMO's insertion check asks for, with room for rounding: a car with less room is not inserted in its first step.
_ACCEPTED_HEADWAYS: Final = 1.05
_ACCEPTED_ROOM_M: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class CarType:
    """What a car's `<vType>` says about its place in a row."""

    type_id: str
    length_m: float
    min_gap_m: float
    tau_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """The road under a convoy: the first edge, on which it departs, and the whole route."""

    source: str
    first_edge_m: float
    route_m: float
    first_limit_mps: float
    highest_limit_mps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvoyCar:
    """One car as it departs; `position_m` is the front bumper's, from the start of the first edge."""

    vehicle_id: str
    car_type: CarType
    speed_factor: float
    sigma: float
    headway_s: float
    jitter_s: float
    position_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Convoy:
    """Cars front to rear, all departing at t = 0 with `speed_mps`."""

    cars: tuple[ConvoyCar, ...]
    peers_ahead: int
    speed_mps: float


def draw_convoy(
    settings: ConvoySettings, types: Mapping[str, CarType], road: Road, *, ego_id: str, peer_count: int, streams: Streams
) -> Convoy:
    """A convoy of the ego and `peer_count` peers; every quantity has a stream of its own.

    `types` holds the peer types and the ego's type. Raises DatasetError when the road is too short for the convoy and its way.
    """
    ahead = int(streams("peers_ahead").integers(1, peer_count + 1)) if peer_count else 0
    ids = _vehicle_ids(ego_id, ahead, peer_count - ahead)
    chosen = streams("vehicle_type").choice(settings.peer_types, size=len(ids))
    ego_type = _with_tau(types[settings.ego_type], _uniform(streams("ego_tau"), settings.ego_tau_s, 1)[0])
    cars = [ego_type if name == ego_id else types[str(peer_type)] for name, peer_type in zip(ids, chosen, strict=True)]
    factors = _slowest_first(_uniform(streams("speed_factor"), SPEED_FACTOR_RANGE, len(ids)))
    sigmas = _uniform(streams("sigma"), SIGMA_RANGE, len(ids))
    headways = _uniform(streams("headway"), settings.headway_s, len(ids))
    jitters = _uniform(streams("spawn_jitter"), SPAWN_JITTER_S, len(ids))
    jitters[ahead] = 0.0  # the ego stays where it was drawn
    speed_mps = math.floor(road.first_limit_mps * factors[0] * 100) / 100
    offsets = _offsets(cars, headways, jitters, speed_mps)
    front_m = _front_position(streams("position"), road, settings, rear_m=cars[-1].length_m - offsets[-1])
    places = zip(ids, cars, factors, sigmas, headways, jitters, offsets, strict=True)
    return Convoy(
        cars=tuple(
            ConvoyCar(
                vehicle_id=vehicle_id,
                car_type=car,
                speed_factor=factor,
                sigma=sigma,
                headway_s=headway,
                jitter_s=jitter,
                position_m=round(front_m + offset, 2),
            )
            for vehicle_id, car, factor, sigma, headway, jitter, offset in places
        ),
        peers_ahead=ahead,
        speed_mps=speed_mps,
    )


def _vehicle_ids(ego_id: str, ahead: int, behind: int) -> list[str]:
    names = iter(name for number in range(2, ahead + behind + 3) if (name := f"V{number:03d}") != ego_id)
    in_front = [next(names) for _ in range(ahead)]
    return [*reversed(in_front), ego_id, *(next(names) for _ in range(behind))]


def _uniform(rng: np.random.Generator, limits: tuple[float, float], count: int) -> list[float]:
    return [round(float(value), 4) for value in rng.uniform(*limits, size=count)]


def _slowest_first(factors: list[float]) -> list[float]:
    """A convoy forms behind its slowest car: a faster one in front would drive away and leave no convoy."""
    slowest = factors.index(min(factors))
    factors[0], factors[slowest] = factors[slowest], factors[0]
    return factors


def _offsets(cars: Sequence[CarType], headways: Sequence[float], jitters: Sequence[float], speed_mps: float) -> list[float]:
    """Positions relative to the front car's place, falling.

    A car that comes late by its jitter is that much further back; where this would bring it closer to the car ahead than its driver
    accepts, it falls back as far as needed, so the order is kept.
    """
    nominal_m = 0.0
    offsets: list[float] = []
    for index, car in enumerate(cars):
        late_m = speed_mps * jitters[index]
        if index == 0:
            offsets.append(-late_m)
            continue
        accepted_m = car.min_gap_m + _ACCEPTED_HEADWAYS * car.tau_s * speed_mps + _ACCEPTED_ROOM_M
        wanted_m = max(accepted_m, car.min_gap_m + headways[index] * speed_mps)
        nominal_m -= cars[index - 1].length_m + wanted_m
        offsets.append(min(nominal_m - late_m, offsets[-1] - cars[index - 1].length_m - accepted_m))
    return offsets


def _front_position(rng: np.random.Generator, road: Road, settings: ConvoySettings, rear_m: float) -> float:
    """Uniform over all wanted places from which the rear fits on the road and the fastest driver stays on it for the horizon.

    A convoy that is too long for the wanted places departs as near to them as its rear allows.
    """
    farthest_m = road.route_m - HORIZON_S * SPEED_FACTOR_RANGE[1] * road.highest_limit_mps
    lowest = rear_m + _ROAD_MARGIN_M
    highest = min(farthest_m, road.first_edge_m) - _ROAD_MARGIN_M
    if settings.front_m is not None:
        wanted_m = settings.front_m
        highest = min(highest, max(wanted_m[1], lowest))
        lowest = max(lowest, wanted_m[0])
    if lowest > highest:
        raise DatasetError(
            f"{road.source}: the convoy's road is {lowest - highest:.0f} m too short to hold it and {HORIZON_S:.0f} s of driving; "
            "lengthen it or lower most_peers in convoy.json"
        )
    return float(rng.uniform(lowest, highest))


def _with_tau(car: CarType, tau_s: float) -> CarType:
    return CarType(type_id=car.type_id, length_m=car.length_m, min_gap_m=car.min_gap_m, tau_s=tau_s)
