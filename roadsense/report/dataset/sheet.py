"""The contact sheet: for every scenario its road, its convoy as it departs, and what was drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

from roadsense.errors import DatasetError
from roadsense.scenario.dataset import Dataset, Scenario
from roadsense.scenario.route_geometry import shared_net
from roadsense.scenario.sumocfg import ROUTES, read_sumocfg
from roadsense.scenario.xml_files import parse_xml, read_bytes

# The picture of a road is this wide and high at most, in units of its own.
_WIDTH, _HEIGHT, _MARGIN = 240.0, 70.0, 6.0
# Metres of road in the picture of a convoy, around the ego.
_STRIP_M: Final = 160.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoadPicture:
    """A base's road: SVG path data of all edges and of the convoy's route."""

    key: str
    edges: str
    route: str
    scale: float
    left_m: float
    top_m: float
    width: float
    height: float
    length_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvoyCar:
    """One car of a convoy in its strip; `x` is the front bumper in metres ahead of the ego's."""

    vehicle_id: str
    x: float
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One scenario."""

    scenario: Scenario
    road: RoadPicture
    start: tuple[float, float] | None  # the ego's place at departure, in the picture
    cars: tuple[ConvoyCar, ...]
    peers_ahead: int | None
    facts: tuple[tuple[str, str], ...]
    drawn_json: str

    @property
    def reach_m(self) -> tuple[float, float]:
        """Left and right end of the convoy's strip, metres from the ego."""
        places = [car.x for car in self.cars] or [0.0]
        return min(-_STRIP_M / 4, min(places) - 10), max(3 * _STRIP_M / 4, max(places) + 10)


def cards(dataset: Dataset) -> tuple[Card, ...]:
    """All scenarios, training first.

    Raises:
        DatasetError: a network or route file cannot be read.
    """
    roads: dict[tuple[str, tuple[str, ...]], RoadPicture] = {}
    return tuple(_card(scenario, roads) for scenario in (*dataset.train, *dataset.eval))


def _card(scenario: Scenario, roads: dict[tuple[str, tuple[str, ...]], RoadPicture]) -> Card:
    edges = _route_edges(scenario)
    digest = str(shared_net(scenario.network_file).getBoundary()) + scenario.base
    if (digest, edges) not in roads:
        roads[digest, edges] = _picture(scenario, edges, key=f"road-{len(roads)}")
    road = roads[digest, edges]
    convoy = scenario.drawn.get("convoy")
    convoy = convoy if isinstance(convoy, Mapping) else {}
    return Card(
        scenario=scenario,
        road=road,
        start=_start(scenario, edges, convoy, road),
        cars=_cars(scenario, convoy),
        peers_ahead=convoy.get("peers_ahead") if isinstance(convoy.get("peers_ahead"), int) else None,
        facts=_facts(scenario, convoy),
        drawn_json=json.dumps(scenario.drawn, indent=1),
    )


def _route_edges(scenario: Scenario) -> tuple[str, ...]:
    """The ego's route as its files say it; empty where only SUMO will find one (a trip)."""
    config = read_sumocfg(scenario.sumocfg)
    routes: dict[str, str] = {}
    for path in config.files(ROUTES):
        root = parse_xml(read_bytes(path), str(path))
        routes |= {route.get("id", ""): route.get("edges", "") for route in root.iter("route")}
        for vehicle in root.iter("vehicle"):
            if vehicle.get("id") == scenario.ego_id:
                own = vehicle.find("route")
                edges = own.get("edges", "") if own is not None else routes.get(vehicle.get("route", ""), "")
                return tuple(edges.split())
    return ()


def _picture(scenario: Scenario, route: Sequence[str], key: str) -> RoadPicture:
    net = shared_net(scenario.network_file)
    left_m, bottom_m, right_m, top_m = map(float, net.getBoundary())
    scale = min((_WIDTH - 2 * _MARGIN) / max(1.0, right_m - left_m), (_HEIGHT - 2 * _MARGIN) / max(1.0, top_m - bottom_m))
    height = max(2 * _MARGIN + 12, (top_m - bottom_m) * scale + 2 * _MARGIN)

    def path(shape: Sequence[Any]) -> str:
        return "M" + "L".join(f"{_MARGIN + (x - left_m) * scale:.1f} {_MARGIN + (top_m - y) * scale:.1f}" for x, y, *_ in shape)

    known = [net.getEdge(edge_id) for edge_id in route if net.hasEdge(edge_id)]
    return RoadPicture(
        key=key,
        edges="".join(path(edge.getShape()) for edge in net.getEdges(withInternal=False)),
        route="".join(path(edge.getShape()) for edge in known),
        scale=scale,
        left_m=left_m,
        top_m=top_m,
        width=_WIDTH,
        height=height,
        length_m=sum(float(edge.getLength()) for edge in known),
    )


def _start(scenario: Scenario, edges: Sequence[str], convoy: Mapping[str, Any], road: RoadPicture) -> tuple[float, float] | None:
    positions = convoy.get("position_m")
    if not edges or not isinstance(positions, Mapping) or scenario.ego_id not in positions:
        return None
    from sumolib.geomhelper import positionAtShapeOffset

    try:
        lane = shared_net(scenario.network_file).getEdge(edges[0]).getLane(0)
        x_m, y_m = positionAtShapeOffset(lane.getShape(), min(float(positions[scenario.ego_id]), lane.getLength()))
    except (KeyError, TypeError, ValueError):
        raise DatasetError(f"{scenario.directory}: its route begins on {edges[0]!r}, which its network lacks; generate it anew") from None
    return _MARGIN + (x_m - road.left_m) * road.scale, _MARGIN + (road.top_m - y_m) * road.scale


def _cars(scenario: Scenario, convoy: Mapping[str, Any]) -> tuple[ConvoyCar, ...]:
    positions = convoy.get("position_m")
    if not isinstance(positions, Mapping) or scenario.ego_id not in positions:
        return ()
    ego_m = float(positions[scenario.ego_id])
    return tuple(
        ConvoyCar(
            vehicle_id=name, x=float(place) - ego_m, role="ego" if name == scenario.ego_id else "ahead" if place > ego_m else "behind"
        )
        for name, place in sorted(positions.items(), key=lambda item: -float(item[1]))
    )


def _facts(scenario: Scenario, convoy: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The drawn values in a line or two; means where every car has its own."""

    def mean(name: str, digits: int, unit: str = "") -> str | None:
        values = convoy.get(name)
        return f"{fmean(map(float, values.values())):.{digits}f}{unit}" if isinstance(values, Mapping) and values else None

    tau = convoy.get("tau_s")
    flow, speed_mps, rate = scenario.drawn.get("vehs_per_hour_factor"), convoy.get("speed_mps"), scenario.background_equipment_rate
    facts = (
        ("speed at departure", None if speed_mps is None else f"{float(speed_mps):.1f} m/s"),
        ("headway, mean", mean("headway_s", 2, " s")),
        ("speed factor, mean", mean("speed_factor", 2)),
        ("sigma, mean", mean("sigma", 2)),
        ("ego's tau", f"{float(tau[scenario.ego_id]):.2f} s" if isinstance(tau, Mapping) and scenario.ego_id in tau else None),
        ("flow factor", None if flow is None else f"{float(flow):.2f}"),
        ("others with a radio", None if rate is None else f"{100 * rate:.0f} %"),
    )
    return tuple((label, value) for label, value in facts if value is not None)
