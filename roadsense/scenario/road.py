"""Reading the road and the car types that a base scenario's convoy needs."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from roadsense.errors import DatasetError
from roadsense.scenario.base import BaseScenario
from roadsense.scenario.convoy import CarType, Road
from roadsense.scenario.convoy_settings import ConvoySettings
from roadsense.scenario.route_geometry import shared_net
from roadsense.scenario.xml_files import number_attribute

# SUMO's defaults for passenger cars.
_DEFAULT_LENGTH_M = 5.0
_DEFAULT_MIN_GAP_M = 2.5
_DEFAULT_TAU_S = 1.0


def read_road(base: BaseScenario, settings: ConvoySettings, roots: Sequence[Element]) -> Road:
    """Lengths and limits along the convoy's route; raises DatasetError when route, edge or lane does not exist."""
    source = str(base.config.path.parent)
    route = next((element for root in roots for element in root.iter("route") if element.get("id") == settings.route), None)
    if route is None or not route.get("edges", "").split():
        raise DatasetError(f"{source}: convoy.json names the route {settings.route!r}, which no route file defines; correct one of them")
    net = shared_net(base.config.network)
    lanes = []
    for position, edge_id in enumerate(route.get("edges", "").split()):
        wanted = settings.lane if position == 0 else 0
        if not net.hasEdge(edge_id) or net.getEdge(edge_id).getLaneNumber() <= wanted:
            raise DatasetError(f"{source}: the convoy's route needs lane {edge_id}_{wanted}, which the network lacks; correct convoy.json")
        lanes.append(net.getEdge(edge_id).getLanes()[wanted])
    return Road(
        source=source,
        first_edge_m=lanes[0].getLength(),
        route_m=sum(lane.getLength() for lane in lanes),
        first_limit_mps=lanes[0].getSpeed(),
        highest_limit_mps=max(lane.getSpeed() for lane in lanes),
    )


def read_car_types(base: BaseScenario, settings: ConvoySettings, roots: Sequence[Element]) -> dict[str, Element]:
    """The `<vType>` elements of the convoy by id; raises DatasetError when one is missing."""
    defined = {element.get("id", ""): element for root in roots for element in root.iter("vType")}
    wanted = [settings.ego_type, *settings.peer_types]
    missing = [type_id for type_id in wanted if type_id not in defined]
    if missing:
        raise DatasetError(
            f"{base.config.path.parent}: convoy.json names the vType {missing[0]!r}, which no route file defines; correct one of them"
        )
    return {type_id: defined[type_id] for type_id in wanted}


def car_type(element: Element) -> CarType:
    """What the `<vType>` says about the room a car takes."""
    return CarType(
        type_id=element.get("id", ""),
        length_m=number_attribute(element, "length", _DEFAULT_LENGTH_M),
        min_gap_m=number_attribute(element, "minGap", _DEFAULT_MIN_GAP_M),
        tau_s=number_attribute(element, "tau", _DEFAULT_TAU_S),
    )
