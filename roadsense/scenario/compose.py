"""The files of one scenario, composed in memory from its plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement

from roadsense.errors import DatasetError
from roadsense.scenario.base import BaseScenario
from roadsense.scenario.convoy import Convoy, ConvoyCar, draw_convoy
from roadsense.scenario.convoy_settings import ConvoySettings
from roadsense.scenario.naming import density_word, scenario_id, style_word
from roadsense.scenario.outputs import silence_outputs
from roadsense.scenario.road import car_type, read_car_types, read_road
from roadsense.scenario.sampler import Plan
from roadsense.scenario.sumocfg import ADDITIONAL, INPUT_FILES, NETWORK, ROUTES
from roadsense.scenario.traffic import Traffic, parse_time, perturb_traffic, sort_by_departure
from roadsense.scenario.xml_files import parse_xml, xml_bytes

SUMOCFG_FILE: Final = "scenario.sumocfg"
_FILE_NAMES: Final = {
    NETWORK: "network.net.xml",
    ROUTES: "vehicles.rou.xml",
    ADDITIONAL: "additional.add.xml",
    "weight-files": "weights.xml",
}
_TIME_OPTIONS: Final = frozenset({"begin", "end"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedScenario:
    """The scenario's id, file contents by name, the peers (None: every other vehicle), and every value that was drawn."""

    scenario_id: str
    files: Mapping[str, bytes]
    peer_ids: tuple[str, ...] | None
    drawn: Mapping[str, Any]


def compose(plan: Plan, ego_id: str) -> ComposedScenario:
    """Draw a scenario; raises DatasetError when its base cannot give one."""
    base = plan.base
    names = _layout(base)
    parsed = {path: parse_xml(base.files[path], str(path)) for name in (ROUTES, ADDITIONAL) for path in base.config.files(name)}
    for path, root in parsed.items():
        silence_outputs(root, str(path))
    roots = list(parsed.values())
    convoy: Convoy | None = None
    peer_ids: tuple[str, ...] | None = None
    if base.convoy is None:
        _require_ego(base, roots, ego_id)
        traffic = perturb_traffic(roots, plan.streams, ego_id)
    else:
        convoy, traffic = _replace_convoy(plan, base.convoy, roots, ego_id)
        peer_ids = tuple(sorted(car.vehicle_id for car in convoy.cars if car.vehicle_id != ego_id))
    files = {names[path]: content for path, content in base.files.items()}
    files |= {names[path]: xml_bytes(root) for path, root in parsed.items()}
    files[SUMOCFG_FILE] = xml_bytes(_configuration(base, names))
    return ComposedScenario(
        scenario_id=scenario_id(plan.stem, density_word(traffic.flow_factor), style_word(convoy, base.convoy), plan.peer_count),
        files=files,
        peer_ids=peer_ids,
        drawn=traffic.drawn if convoy is None else {**traffic.drawn, "convoy": _convoy_draws(convoy)},
    )


def _layout(base: BaseScenario) -> dict[Path, str]:
    """The name of every input in a scenario's folder: `vehicles.rou.xml`, `vehicles_2.rou.xml` and so on."""
    names: dict[Path, str] = {}
    for option, name in _FILE_NAMES.items():
        for number, path in enumerate(base.config.files(option), start=1):
            stem, _, suffix = name.partition(".")
            names[path] = name if number == 1 else f"{stem}_{number}.{suffix}"
    return names


def _configuration(base: BaseScenario, names: Mapping[Path, str]) -> Element:
    root = Element("configuration")
    sections: dict[str, Element] = {}
    for option in base.config.options:
        is_input = option.name in INPUT_FILES
        section = "input" if is_input else "time" if option.name in _TIME_OPTIONS else "processing"
        value = ",".join(names[path] for path in base.config.files(option.name)) if is_input else option.value
        SubElement(sections.setdefault(section, Element(section)), option.name, value=value)
    root.extend(sections[section] for section in ("input", "time", "processing") if section in sections)
    return root


def _require_ego(base: BaseScenario, roots: Sequence[Element], ego_id: str) -> None:
    begin_s = next((parse_time(option.value) for option in base.config.options if option.name == "begin"), None) or 0.0
    vehicles = [element for root in roots for element in root.iter() if element.tag in ("vehicle", "trip") and element.get("id") == ego_id]
    if not vehicles:
        raise DatasetError(
            f"{base.config.path}: no <vehicle> or <trip> with the id {ego_id!r} in its route files; "
            "add the ego, or name another vehicle with --ego-id"
        )
    departs = vehicles[0].get("depart")
    if parse_time(departs) != begin_s:
        raise DatasetError(f"{base.config.path}: the ego {ego_id!r} departs at {departs}; set its depart to {begin_s:g}, the begin")


def _replace_convoy(plan: Plan, settings: ConvoySettings, roots: Sequence[Element], ego_id: str) -> tuple[Convoy, Traffic]:
    """Draw a convoy in place of the base's and perturb the traffic around it.

    Every car gets a type of its own, because sigma and tau belong to types; the base's types make room for them.
    """
    road = read_road(plan.base, settings, roots)
    elements = read_car_types(plan.base, settings, roots)
    types = {type_id: car_type(element) for type_id, element in elements.items()}
    convoy = draw_convoy(settings, types, road, ego_id=ego_id, peer_count=plan.peer_count or 0, streams=plan.streams)
    _remove(roots, [vehicle for root in roots for vehicle in root.findall("vehicle") if vehicle.get("route") == settings.route])
    in_use = {element.get("type") for root in roots for element in root.iter()}
    _remove(roots, [element for type_id, element in elements.items() if type_id not in in_use])
    traffic = perturb_traffic(roots, plan.streams, ego_id)
    home = next(root for root in roots if any(route.get("id") == settings.route for route in root.iter("route")))
    for car in convoy.cars:
        home.append(_own_type(elements[car.car_type.type_id], car))
        home.append(_vehicle(settings, convoy, car))
    sort_by_departure(home)
    return convoy, traffic


def _remove(roots: Sequence[Element], unwanted: Sequence[Element]) -> None:
    for root in roots:
        root[:] = [child for child in root if not any(child is element for element in unwanted)]


def _own_type(base_type: Element, car: ConvoyCar) -> Element:
    element = deepcopy(base_type)
    element.set("id", _type_id(car))
    element.set("sigma", str(car.sigma))
    element.set("tau", str(car.car_type.tau_s))
    element.set("speedFactor", str(car.speed_factor))
    element.set("speedDev", "0")
    return element


def _vehicle(settings: ConvoySettings, convoy: Convoy, car: ConvoyCar) -> Element:
    return Element(
        "vehicle",
        id=car.vehicle_id,
        type=_type_id(car),
        route=settings.route,
        depart="0",
        departLane=str(settings.lane),
        departPos=f"{car.position_m:.2f}",
        departSpeed=f"{convoy.speed_mps:.2f}",
    )


def _type_id(car: ConvoyCar) -> str:
    return f"{car.car_type.type_id}.{car.vehicle_id}"


def _convoy_draws(convoy: Convoy) -> dict[str, Any]:
    quantities = {
        "type": {car.vehicle_id: car.car_type.type_id for car in convoy.cars},
        "tau_s": {car.vehicle_id: car.car_type.tau_s for car in convoy.cars},
        "speed_factor": {car.vehicle_id: car.speed_factor for car in convoy.cars},
        "sigma": {car.vehicle_id: car.sigma for car in convoy.cars},
        "headway_s": {car.vehicle_id: car.headway_s for car in convoy.cars},
        "spawn_jitter_s": {car.vehicle_id: car.jitter_s for car in convoy.cars},
        "position_m": {car.vehicle_id: car.position_m for car in convoy.cars},
    }
    return {"peers_ahead": convoy.peers_ahead, "speed_mps": convoy.speed_mps, **quantities}
