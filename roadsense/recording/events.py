"""The braking events of a recorded drive, from what the cars ahead said of themselves."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from roadsense.config import Settings
from roadsense.recording.log import Message, Recording
from roadsense.recording.replay import forward_m

_LEAST_MESSAGES: Final = 2  # one sample above the threshold may be noise of the sensor
_LONGEST_GAP_S: Final = 1.0  # between two messages of one braking
_AHEAD_DEG: Final = 90.0  # a car whose heading differs by more drives another way


class EventSettings(Settings):
    """What counts as a braking event."""

    decel_mps2: float = 3.0
    release_mps2: float = 1.5
    range_m: float = 200.0
    merge_s: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BrakingEvent:
    """A car ahead braked hard. Times are seconds of the ego's clock.

    Attributes:
        source_id: who braked first.
        heard_s: when the ego first heard of it.
        end_s: when the last braking message was heard.
        decel_mps2: the hardest braking in it, of any car.
    """

    source_id: str
    heard_s: float
    end_s: float
    decel_mps2: float


def braking_events(recording: Recording, settings: EventSettings) -> tuple[BrakingEvent, ...]:
    """Events by time; cars that brake after one another within `merge_s` make one.

    An event begins with two messages in a row of a car ahead (within `range_m`, driving the same way) that brakes with `decel_mps2` or
    more, and lasts while it brakes with `release_mps2` or more.
    """
    own_times_s = [message.logged_s for message in recording.own]
    found: list[BrakingEvent] = []
    for source_id in dict.fromkeys(message.source_id for message in recording.heard):
        messages = _newest_first_heard([message for message in recording.heard if message.source_id == source_id])
        ahead = [
            _is_ahead(message, recording.own[max(0, bisect_right(own_times_s, message.logged_s) - 1)], settings) for message in messages
        ]
        found += _of_one_source(messages, ahead, settings)
    return _merged(sorted(found, key=lambda event: event.heard_s), settings.merge_s)


def _newest_first_heard(messages: Sequence[Message]) -> list[Message]:
    """Each measurement once, in the order in which it told something new."""
    kept: list[Message] = []
    for message in messages:
        if not kept or message.measured_s > kept[-1].measured_s:
            kept.append(message)
    return kept


def _is_ahead(message: Message, own: Message, settings: EventSettings) -> bool:
    turned_deg = math.fabs((message.compass_deg - own.compass_deg + 180.0) % 360.0 - 180.0)
    return turned_deg < _AHEAD_DEG and 0.0 < forward_m(message, own) <= settings.range_m


def _of_one_source(messages: Sequence[Message], ahead: Sequence[bool], settings: EventSettings) -> list[BrakingEvent]:
    events: list[BrakingEvent] = []
    run: list[Message] = []  # hard braking in a row, not yet an event
    open_event = False
    last_s = -math.inf
    for message, is_ahead in zip(messages, ahead, strict=True):
        gap = message.measured_s - last_s > _LONGEST_GAP_S
        last_s = message.measured_s
        if open_event and not gap and -message.accel_mps2 >= settings.release_mps2:
            event = events[-1]
            hardest = max(event.decel_mps2, -message.accel_mps2)
            events[-1] = BrakingEvent(source_id=event.source_id, heard_s=event.heard_s, end_s=message.logged_s, decel_mps2=hardest)
            continue
        open_event = False
        if gap or not is_ahead or -message.accel_mps2 < settings.decel_mps2:
            run = []
        if is_ahead and -message.accel_mps2 >= settings.decel_mps2:
            run.append(message)
        if len(run) == _LEAST_MESSAGES:
            hardest = max(-braking.accel_mps2 for braking in run)
            first = run[0]
            events.append(BrakingEvent(source_id=first.source_id, heard_s=first.logged_s, end_s=message.logged_s, decel_mps2=hardest))
            open_event, run = True, []
    return events


def _merged(events: Sequence[BrakingEvent], merge_s: float) -> tuple[BrakingEvent, ...]:
    merged: list[BrakingEvent] = []
    for event in events:
        if merged and event.heard_s <= merged[-1].end_s + merge_s:
            before = merged[-1]
            merged[-1] = BrakingEvent(
                source_id=before.source_id,
                heard_s=before.heard_s,
                end_s=max(before.end_s, event.end_s),
                decel_mps2=max(before.decel_mps2, event.decel_mps2),
            )
        else:
            merged.append(event)
    return tuple(merged)
