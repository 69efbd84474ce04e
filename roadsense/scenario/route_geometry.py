"""Distances along a vehicle's route: where the lanes ahead of it begin, over junctions too.

The bumper gap to a leader follows as ``start_offsets[leader_lane] + leader_lane_position_m - leader_length_m - own_lane_position_m``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import sumolib.net

from roadsense.errors import DatasetError
from roadsense.scenario.xml_files import read_bytes

_LARGEST_CACHE: Final = 4096  # entries; keeps memory bounded where routes change all the time
_MOST_NETWORKS: Final = 8


class LanePaths:
    """The lanes ahead of a vehicle on one network.

    The network is read once per process and content, so a dataset with a copy per scenario costs one reading. Lanes that begin more
    than `lookahead_m` ahead are left out. Raises DatasetError when the network cannot be read.
    """

    def __init__(self, network_file: Path, lookahead_m: float = 3000.0) -> None:
        self._lookahead_m = lookahead_m
        self._network = _shared_network(network_file)

    def start_offsets(self, lane_id: str, route_edges: Sequence[str]) -> Mapping[str, float]:
        """Metres from the start of `lane_id` to the start of each lane on the way, own lane first (0.0).

        The way follows the connections from the lane along `route_edges` (edge ids in driving order), over the lanes inside junctions.
        A lane that does not lead to the next edge is left for the nearest one that does; on later edges both are on the way, on the
        own edge only the own lane is: who drives beside is not ahead. Where a route passes an edge twice, the first passage counts.
        Off the route, the own lane is all there is. Raises DatasetError when the network has no such lane.
        """
        key = (lane_id, tuple(route_edges), self._lookahead_m)
        cache = self._network.offsets
        offsets = cache.get(key)
        if offsets is None:
            if len(cache) >= _LARGEST_CACHE:
                cache.clear()
            offsets = cache[key] = MappingProxyType(self._measure(self._lane(lane_id), key[1]))
        return offsets

    def speed_limit_mps(self, lane_id: str) -> float:
        """The speed limit on a lane; raises DatasetError when the network has no such lane."""
        limits = self._network.limits_mps
        limit_mps = limits.get(lane_id)
        if limit_mps is None:
            limit_mps = limits[lane_id] = float(self._lane(lane_id).getSpeed())
        return limit_mps

    def _measure(self, lane: Any, route: tuple[str, ...]) -> dict[str, float]:
        offsets: dict[str, float] = {}
        offset_m = 0.0
        for abreast in _way(self._network.net, lane, route):
            if offset_m > self._lookahead_m:
                break
            for ahead in abreast:
                offsets.setdefault(ahead.getID(), offset_m)
            offset_m += abreast[0].getLength()
        return offsets

    def _lane(self, lane_id: str) -> Any:
        try:
            return self._network.net.getLane(lane_id)
        except (KeyError, IndexError, ValueError):
            raise DatasetError(f"{self._network.source}: has no lane {lane_id!r}; use the network that the simulation drives") from None


def shared_net(network_file: Path) -> Any:
    """The `sumolib.net.Net` of a file, read once per process and content; raises DatasetError when it cannot be read."""
    return _shared_network(network_file).net


@dataclass(slots=True)
class _Network:
    source: str
    net: Any
    offsets: dict[tuple[str, tuple[str, ...], float], Mapping[str, float]] = field(default_factory=dict)
    limits_mps: dict[str, float] = field(default_factory=dict)


_networks: dict[str, _Network] = {}


def _shared_network(path: Path) -> _Network:
    try:
        status = path.stat()
    except OSError as problem:
        raise DatasetError(f"{path}: cannot be read ({problem.strerror}); check the path of the network") from None
    digest = _digest(path, status.st_mtime_ns, status.st_size)
    if digest not in _networks:
        if len(_networks) >= _MOST_NETWORKS:
            _networks.clear()
        _networks[digest] = _read_network(path)
    return _networks[digest]


@lru_cache(maxsize=4096)
def _digest(path: Path, _mtime_ns: int, _size: int) -> str:
    return hashlib.sha256(read_bytes(path)).hexdigest()


def _read_network(path: Path) -> _Network:
    try:
        net = sumolib.net.readNet(str(path), withInternal=True)
    except Exception as problem:  # sumolib raises whatever its SAX handlers meet in a broken network
        raise DatasetError(f"{path}: not a SUMO network ({problem}); build it with netconvert") from None
    return _Network(source=str(path), net=net)


def _way(net: Any, lane: Any, route: tuple[str, ...]) -> Iterator[Sequence[Any]]:
    """The lanes from `lane` to the end of the route in driving order; abreast where the vehicle has to change lanes on a later edge."""
    is_own = True
    if lane.getEdge().getFunction() == "internal":
        yield (lane,)
        internal, lane = _through_junction(net, lane)
        yield from zip(internal)
        if lane is None:
            return
        is_own = False
    edge_id = lane.getEdge().getID()
    ahead = route[route.index(edge_id) + 1 :] if edge_id in route else ()
    for place in range(len(ahead) + 1):
        connection = _connection(lane, ahead[place], ahead[place + 1 : place + 2]) if place < len(ahead) else None
        yield (lane,) if is_own or connection is None else _changed_over(lane, connection.getFromLane())
        if connection is None:
            return
        yield from zip(_internal_lanes(net, connection))
        lane, is_own = connection.getToLane(), False


def _changed_over(arrival: Any, departure: Any) -> Sequence[Any]:
    """The lanes that are touched when an edge is entered on one lane and left on another, the first one first."""
    first, last = arrival.getIndex(), departure.getIndex()
    lanes = arrival.getEdge().getLanes()
    return [lanes[index] for index in (range(first, last + 1) if first <= last else range(first, last - 1, -1))]


def _connection(lane: Any, next_edge: str, edge_after: tuple[str, ...]) -> Any | None:
    """The connection to `next_edge` from this lane or the nearest beside it; of several the one whose lane leads on to `edge_after`."""
    siblings = sorted(lane.getEdge().getLanes(), key=lambda other: abs(other.getIndex() - lane.getIndex()))
    for candidate in siblings:
        leading = [connection for connection in candidate.getOutgoing() if connection.getTo().getID() == next_edge]
        if leading:
            return min(leading, key=lambda connection: _detour(connection, edge_after))
    return None


def _detour(connection: Any, edge_after: tuple[str, ...]) -> tuple[bool, int]:
    target = connection.getToLane()
    leads_on = not edge_after or any(onward.getTo().getID() == edge_after[0] for onward in target.getOutgoing())
    return not leads_on, abs(target.getIndex() - connection.getFromLane().getIndex())


def _internal_lanes(net: Any, connection: Any) -> list[Any]:
    via = connection.getViaLaneID()
    if not via:
        return []
    lane = net.getLane(via)
    return [lane, *_through_junction(net, lane)[0]]


def _through_junction(net: Any, lane: Any) -> tuple[list[Any], Any | None]:
    """The internal lanes after this internal lane, and the lane behind the junction (None at a dead end)."""
    passed: list[Any] = []
    while True:
        outgoing = lane.getOutgoing()
        if not outgoing:
            return passed, None
        via = outgoing[0].getViaLaneID()
        if not via:
            return passed, outgoing[0].getToLane()
        lane = net.getLane(via)
        passed.append(lane)
