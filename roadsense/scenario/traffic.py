"""Perturbing the traffic of a base scenario: driver types, single vehicles and flows, wherever in its files they stand."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from roadsense.scenario.convoy import SIGMA_RANGE, SPAWN_JITTER_S, SPEED_FACTOR_RANGE
from roadsense.scenario.sampler import Streams
from roadsense.scenario.xml_files import number_attribute

FLOW_FACTOR_RANGE: Final = (0.7, 1.3)
_KRAUSS_FAMILY: Final = frozenset({"", "Krauss", "KraussOrig1", "KraussPS", "KraussX", "SmartSK"})  # the models that have sigma
_DEFAULT_SPEED_DEVIATION: Final = 0.1  # SUMO's, for passenger cars
_EXPONENTIAL: Final = re.compile(r"exp\((?P<rate>[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\)")
_DEPARTING: Final = frozenset({"vehicle", "trip", "flow", "person", "personFlow", "container", "containerFlow"})
_UNSORTED: Final = float("-inf")

Draws = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What was drawn for the traffic, by quantity and id, as it was written; and the factor on its flows, None without flows."""

    by_id: Draws
    flow_factor: float | None

    @property
    def drawn(self) -> dict[str, dict[str, float] | float]:
        """Everything as the manifest holds it."""
        return {**self.by_id, **({} if self.flow_factor is None else {"vehs_per_hour_factor": self.flow_factor})}


def perturb_traffic(roots: Sequence[Element], streams: Streams, ego_id: str) -> Traffic:
    """Redraw what is drawn per scenario, in place.

    Types get sigma and a distribution of speedFactor, vehicles a speedFactor and (all but the ego) a later departure, flows a rate
    scaled by one factor for the whole scenario and a later begin. Elements are put in order of departure afterwards, because SUMO
    ignores those that come too late in a file.
    """
    draws: Draws = {}
    _perturb_types(_find(roots, "vType"), streams, draws)
    _perturb_vehicles(_find(roots, "vehicle", "trip"), streams, ego_id, draws)
    flow_factor = _perturb_flows(_find(roots, "flow"), streams, draws)
    for root in roots:
        sort_by_departure(root)
    return Traffic(by_id=draws, flow_factor=flow_factor)


def parse_time(text: str | None) -> float | None:
    """Seconds from SUMO's forms `12.5`, `HH:MM:SS` and `DD:HH:MM:SS`; None for words such as `triggered`."""
    try:
        parts = [float(part) for part in (text or "").split(":")]
    except ValueError:
        return None
    weights = (1.0, 60.0, 3600.0, 86400.0)
    if len(parts) > len(weights) or not all(math.isfinite(part) for part in parts):
        return None
    return sum(part * weight for part, weight in zip(reversed(parts), weights, strict=False))


def sort_by_departure(root: Element) -> None:
    """Put definitions first and traffic in order of departure; what has no time of its own stays behind its predecessor."""
    keyed: list[tuple[float, Element]] = []
    latest = _UNSORTED
    for child in root:
        time_s = parse_time(child.get("depart") or child.get("begin")) if child.tag in _DEPARTING else None
        if child.tag in _DEPARTING and time_s is None:
            time_s = latest
        latest = time_s if time_s is not None else latest
        keyed.append((_UNSORTED if time_s is None else time_s, child))
    root[:] = [child for _, child in sorted(keyed, key=lambda pair: pair[0])]


def _find(roots: Sequence[Element], *tags: str) -> Iterator[Element]:
    return (element for root in roots for element in root.iter() if element.tag in tags)


def _perturb_types(types: Iterator[Element], streams: Streams, draws: Draws) -> None:
    sigmas, factors = streams("traffic_sigma"), streams("traffic_type_speed_factor")
    for vtype in types:
        if vtype.get("vClass") == "pedestrian":
            continue
        # Drawn for every type, used or not, so that one type's model does not shift the next type's numbers.
        sigma = round(float(sigmas.uniform(*SIGMA_RANGE)), 4)
        factor = round(float(factors.uniform(*SPEED_FACTOR_RANGE)), 4)
        if vtype.get("carFollowModel", "") in _KRAUSS_FAMILY:
            _write(vtype, "sigma", sigma, draws, "type_sigma")
        # SUMO draws every car of the type anew, normally distributed around the factor and cut off at the range.
        deviation = number_attribute(vtype, "speedDev", _DEFAULT_SPEED_DEVIATION)
        vtype.attrib.pop("speedDev", None)
        low, high = SPEED_FACTOR_RANGE
        vtype.set("speedFactor", f"normc({factor}, {deviation}, {low}, {high})" if deviation > 0 else str(factor))
        draws.setdefault("type_speed_factor", {})[vtype.get("id", "")] = factor


def _perturb_vehicles(vehicles: Iterator[Element], streams: Streams, ego_id: str, draws: Draws) -> None:
    factors, jitters = streams("traffic_speed_factor"), streams("traffic_spawn_jitter")
    for vehicle in vehicles:
        factor = round(float(factors.uniform(*SPEED_FACTOR_RANGE)), 4)
        jitter_s = round(float(jitters.uniform(*SPAWN_JITTER_S)), 2)
        _lower_departure_speed(vehicle, factor)
        _write(vehicle, "speedFactor", factor, draws, "speed_factor")
        depart_s = parse_time(vehicle.get("depart"))
        if depart_s is not None and vehicle.get("id") != ego_id:
            vehicle.set("depart", f"{depart_s + jitter_s:.2f}")
            draws.setdefault("spawn_jitter_s", {})[vehicle.get("id", "")] = jitter_s


def _lower_departure_speed(vehicle: Element, factor: float) -> None:
    """SUMO refuses a vehicle whose departure speed is above what its speedFactor allows on the lane."""
    try:
        speed_mps = float(vehicle.get("departSpeed", ""))
    except ValueError:
        return  # a word such as `max`, which SUMO fits to the lane
    previous = number_attribute(vehicle, "speedFactor", 1.0)
    vehicle.set("departSpeed", f"{math.floor(speed_mps * min(1.0, factor / previous) * 100) / 100:.2f}")


def _perturb_flows(flows: Iterator[Element], streams: Streams, draws: Draws) -> float | None:
    """Scale all flows by one factor, so that a scenario is dense or sparse as a whole; returns it where a flow was scaled."""
    factor = round(float(streams("traffic_flow").uniform(*FLOW_FACTOR_RANGE)), 4)
    jitters = streams("traffic_flow_jitter")
    is_scaled = False
    for flow in flows:
        jitter_s = round(float(jitters.uniform(*SPAWN_JITTER_S)), 2)
        scaled = _scaled_rates(flow, factor)
        flow.attrib.update(scaled)
        is_scaled |= bool(scaled)
        begin_s = parse_time(flow.get("begin", "0"))
        end_s = parse_time(flow.get("end")) if flow.get("end") else None
        if begin_s is not None:
            flow.set("begin", f"{begin_s + jitter_s:.2f}")
            if end_s is not None:
                flow.set("end", f"{end_s + jitter_s:.2f}")
            draws.setdefault("spawn_jitter_s", {})[flow.get("id", "")] = jitter_s
    return factor if is_scaled else None


def _scaled_rates(flow: Element, factor: float) -> dict[str, str]:
    """The flow's rate attributes for `factor` times as many vehicles; a bare `number` is the rate only where nothing else gives one."""
    scaled: dict[str, str] = {}
    for name in ("vehsPerHour", "perHour"):
        if name in flow.attrib:
            scaled[name] = f"{number_attribute(flow, name) * factor:.3f}"
    if "probability" in flow.attrib:
        scaled["probability"] = f"{min(1.0, number_attribute(flow, 'probability') * factor):.6f}"
    if "period" in flow.attrib:
        exponential = _EXPONENTIAL.fullmatch(flow.attrib["period"].strip())
        if exponential:
            scaled["period"] = f"exp({float(exponential['rate']) * factor:.6f})"
        else:
            scaled["period"] = f"{number_attribute(flow, 'period') / factor:.4f}"
    if not scaled and "number" in flow.attrib:
        scaled["number"] = str(max(1, round(number_attribute(flow, "number") * factor)))
    return scaled


def _write(element: Element, attribute: str, value: float, draws: Draws, quantity: str) -> None:
    element.set(attribute, str(value))
    draws.setdefault(quantity, {})[element.get("id", "")] = value
