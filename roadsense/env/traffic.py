"""The cars ahead of the ego on its path at one instant: what scripted drivers of these cars may know."""

from __future__ import annotations

from functools import cached_property

from roadsense.env.situation import RouteAhead, fronts_ahead
from roadsense.state import SimulatorState


class Traffic:
    """A view of one state; distances run along the ego's path."""

    def __init__(self, state: SimulatorState, route: RouteAhead) -> None:
        self._vehicles = state.vehicles
        self._route = route

    @cached_property
    def cars_ahead(self) -> tuple[str, ...]:
        """Ids of the cars ahead, nearest to the ego first."""
        return tuple(self._vehicles.ids[row] for _, row in self._fronts)

    def speed_mps(self, vehicle_id: str) -> float | None:
        """Speed of any watched vehicle; None when it is not on the road nearby."""
        row = self._vehicles.index.get(vehicle_id)
        return None if row is None else float(self._vehicles.speed_mps[row])

    def touching(self) -> list[tuple[str, str]]:
        """Pairs (behind, ahead) of neighbouring cars ahead of the ego whose bodies overlap on their lane."""
        pairs = []
        for (behind_m, behind), (ahead_m, ahead) in zip(self._fronts, self._fronts[1:], strict=False):
            if ahead_m - float(self._vehicles.length_m[ahead]) < behind_m and not self._are_abreast(behind, ahead):
                pairs.append((self._vehicles.ids[behind], self._vehicles.ids[ahead]))
        return pairs

    @cached_property
    def _fronts(self) -> list[tuple[float, int]]:
        return fronts_ahead(self._vehicles, self._route)

    def _are_abreast(self, one: int, other: int) -> bool:
        """Whether two cars drive on different lanes of one edge: side by side is no contact."""
        lane, other_lane = self._vehicles.lane_ids[one], self._vehicles.lane_ids[other]
        return lane != other_lane and lane.rpartition("_")[0] == other_lane.rpartition("_")[0]
