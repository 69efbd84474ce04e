"""Who takes part: the order of the cars in all of the radio's arrays, and how it follows from the order before."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadsense.state import VehicleStates

IntArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """n cars with a radio: the ego first, then the others on the road, then those that left but may still be remembered.

    `columns` (present,) are the rows of the present cars in the state's arrays. `ids` has n entries, of which the first `present` are on
    the road.
    """

    ids: tuple[str, ...] = ()
    columns: IntArray
    present: int = 0

    @classmethod
    def empty(cls) -> Roster:
        """Nobody yet."""
        return cls(columns=np.empty(0, dtype=np.intp))

    def follow(
        self, vehicles: VehicleStates, ego_id: str, equipped: Collection[str] | None, remembered: NDArray[np.bool_]
    ) -> tuple[Roster, IntArray]:
        """The next roster, and for each of its cars the place in this one or -1.

        `equipped` names the cars with a radio beside the ego, `None` means all. `remembered` (n,) tells which cars of this roster stay in
        it although they are gone. The ego must be among the vehicles.
        """
        others = [vehicle_id for vehicle_id in vehicles.ids if vehicle_id != ego_id and (equipped is None or vehicle_id in equipped)]
        here = (ego_id, *others)
        there = set(here)
        gone = [name for name, kept in zip(self.ids, remembered.tolist(), strict=True) if kept and name not in there]
        ids = (*here, *gone)
        place = {vehicle_id: index for index, vehicle_id in enumerate(self.ids)}
        columns = np.array([vehicles.index[vehicle_id] for vehicle_id in here], dtype=np.intp)
        origin = np.array([place.get(vehicle_id, -1) for vehicle_id in ids], dtype=np.intp)
        return Roster(ids=ids, columns=columns, present=len(here)), origin
