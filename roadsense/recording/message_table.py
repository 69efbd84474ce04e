"""The neighbour table fed with single messages, as a device is; the same rule as `roadsense.radio.neighbours`, and as `neighbours.h`."""

from __future__ import annotations

import numpy as np

from roadsense.radio.message import HeardPeers
from roadsense.radio.neighbours import is_fresh
from roadsense.recording.geodesy import heading_rad, offset_m
from roadsense.recording.log import Message


class MessageTable:
    """The newest measurement of every source, forgotten when it is stale.

    Args:
        stale_after_s: age at which a measurement is no longer believed.
    """

    def __init__(self, stale_after_s: float = 0.5) -> None:
        self._stale_after_s = stale_after_s
        self._newest: dict[str, Message] = {}

    def hear(self, message: Message, now_s: float) -> bool:
        """Take in a message; returns whether it told something new.

        A source whose last measurement is stale may begin anew with any time (it may have rebooted).
        """
        if not self._is_fresh(message, now_s):
            return False
        known = self._newest.get(message.source_id)
        if known is not None and self._is_fresh(known, now_s) and message.measured_s <= known.measured_s:
            return False
        self._newest[message.source_id] = message
        return True

    def fresh(self, now_s: float, latitude_deg: float, longitude_deg: float) -> HeardPeers:
        """What is believed now, in metres east (x) and north (y) of a place: the ego's own."""
        messages = [message for message in self._newest.values() if self._is_fresh(message, now_s)]
        places = [offset_m(message.latitude_deg, message.longitude_deg, latitude_deg, longitude_deg) for message in messages]
        east_m, north_m = np.array(places).reshape(-1, 2).T
        age_s = now_s - np.array([message.measured_s for message in messages])
        return HeardPeers(
            source_ids=tuple(message.source_id for message in messages),
            x_m=east_m,
            y_m=north_m,
            speed_mps=np.array([message.speed_mps for message in messages], dtype=np.float64),
            accel_mps2=np.array([message.accel_mps2 for message in messages], dtype=np.float64),
            heading_rad=np.array([heading_rad(message.compass_deg) for message in messages], dtype=np.float64),
            age_s=np.clip(age_s, 0.0, self._stale_after_s),
        )

    def _is_fresh(self, message: Message, now_s: float) -> bool:
        # A clock that is ahead by as much is as wrong as a message that is as old.
        return is_fresh(abs(now_s - message.measured_s), self._stale_after_s)
