"""The order of a convoy's cars along their route."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from roadsense.scenario.dataset import Scenario
from roadsense.scenario.route_geometry import LanePaths
from roadsense.state import VehicleStates


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvoyOrder:
    """Which car of a convoy drives behind which: `row` holds the cars front to rear, as they were drawn."""

    row: tuple[str, ...]
    lanes: LanePaths
    route_edges: tuple[str, ...]

    @classmethod
    def drawn(cls, scenario: Scenario, route_edges: Sequence[str]) -> ConvoyOrder:
        """The order in which a generated scenario's convoy departs; without a drawn convoy there is none to keep."""
        positions: dict[str, float] = scenario.drawn.get("convoy", {}).get("position_m", {})
        row = tuple(sorted(positions, key=positions.__getitem__, reverse=True))
        return cls(row=row, lanes=LanePaths(scenario.network_file), route_edges=tuple(route_edges))

    def broken(self, vehicles: VehicleStates) -> Iterator[tuple[str, str]]:
        """Pairs (leader, follower) of neighbours on the road of whom the leader is not ahead on the follower's way."""
        for leader_id, follower_id in pairwise(self.row):
            leader, follower = vehicles.index.get(leader_id), vehicles.index.get(follower_id)
            if leader is not None and follower is not None and not self._is_ahead(vehicles, leader, follower):
                yield leader_id, follower_id

    def _is_ahead(self, vehicles: VehicleStates, leader: int, follower: int) -> bool:
        starts_m = self.lanes.start_offsets(vehicles.lane_ids[follower], self.route_edges)
        start_m = starts_m.get(vehicles.lane_ids[leader])
        own_m = float(vehicles.lane_position_m[follower])
        return start_m is not None and start_m + float(vehicles.lane_position_m[leader]) > own_m
