"""The neighbour table: the newest message of every source, forgotten when it is stale."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from roadsense.radio.delivery import TIME_TOLERANCE_S, Packets
from roadsense.radio.message import ACCEL_MPS2, HEADING_RAD, MEASURED_S, MESSAGE_ROWS, SPEED_MPS, X_M, Y_M, HeardPeers
from roadsense.state import FloatArray

_FIRST_CAPACITY = 16


class NeighbourTable:
    """One receiver's memory of the others; every source keeps its row for the whole episode."""

    def __init__(self, stale_after_s: float) -> None:
        self._stale_after_s = stale_after_s
        self._row_of: dict[str, int] = {}
        self._ids: list[str] = []
        self._messages: FloatArray = np.empty((MESSAGE_ROWS, 0))

    def rows(self, source_ids: Iterable[str]) -> NDArray[np.intp]:
        """The rows of these sources, made where they are missing."""
        rows = np.array([self._row(source_id) for source_id in source_ids], dtype=np.intp)
        if len(self._ids) > self._messages.shape[1]:
            grown = np.full((MESSAGE_ROWS, max(_FIRST_CAPACITY, 2 * len(self._ids))), -np.inf)
            grown[:, : self._messages.shape[1]] = self._messages
            self._messages = grown
        return rows

    def accept(self, packets: Packets) -> None:
        """Keep each message unless its source has already been heard with a newer measurement (late packets may be overtaken)."""
        newer = packets.messages[MEASURED_S] > self._messages[MEASURED_S, packets.rows]
        kept = packets if newer.all() else packets.select(newer)
        self._messages[:, kept.rows] = kept.messages

    def fresh(self, now_s: float) -> HeardPeers:
        """Every source whose last measurement is not stale; the arrays belong to the caller."""
        age_s = now_s - self._messages[MEASURED_S, : len(self._ids)]
        rows = np.flatnonzero(age_s <= self._stale_after_s + TIME_TOLERANCE_S)
        messages = self._messages[:, rows]
        return HeardPeers(
            source_ids=tuple([self._ids[row] for row in rows.tolist()]),
            x_m=messages[X_M],
            y_m=messages[Y_M],
            speed_mps=messages[SPEED_MPS],
            accel_mps2=messages[ACCEL_MPS2],
            heading_rad=messages[HEADING_RAD],
            age_s=np.minimum(age_s[rows], self._stale_after_s),
        )

    def _row(self, source_id: str) -> int:
        row = self._row_of.get(source_id)
        if row is None:
            row = self._row_of[source_id] = len(self._ids)
            self._ids.append(source_id)
        return row
