"""A recording as the compact object that the player reads: whole numbers in small units, by column, differences along time.

The player's side is `roadsense/report/assets/episode.js`; both say `FORMAT`.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from roadsense.config import STEP_LENGTH_S
from roadsense.report.episode.events import OUTCOME_WORDS, events
from roadsense.report.episode.recording import Frame, Recording
from roadsense.report.episode.road import Box, road_map
from roadsense.state import FloatArray

FORMAT: Final = 1
CAR_WIDTH_M: Final = 1.8  # SUMO's default for a passenger car; no vehicle type of ours says otherwise, and SUMO does not report it

# A car that never comes nearer than this, and is not of the convoy, would only be seen by zooming far out.
_NEAR_M: Final = 300.0
_ROAD_MARGIN_M: Final = 80.0
# The view shows as many metres of road as lie between the ego and the cars it should watch, within these limits.
_SHORTEST_SPAN_M, _LONGEST_SPAN_M = 70.0, 240.0


def payload(recording: Recording, title: str) -> dict[str, Any]:
    """Everything the player shows; lengths in cm, speeds in cm/s, angles in mrad, ages in ms, actions in thousandths."""
    ids = _shown_ids(recording)
    column = {vehicle_id: index for index, vehicle_id in enumerate(ids)}
    rows = [[frame.state.vehicles.index.get(vehicle_id) for vehicle_id in ids] for frame in recording.frames]
    positions = [_places(frame, row) for frame, row in zip(recording.frames, rows, strict=True)]
    box = Box.around([place for places in positions for place in places if place is not None], _ROAD_MARGIN_M)
    origin_m = ((box.left_m + box.right_m) / 2, (box.bottom_m + box.top_m) / 2)
    ego, hazard = recording.scenario.ego_id, recording.script.hazard
    return {
        "format": FORMAT,
        "title": title,
        "policy": recording.policy,
        "identity": recording.record.identity,
        "scenario": recording.scenario.scenario_id,
        "outcome": recording.record.outcome.value,
        "outcome_text": OUTCOME_WORDS[recording.record.outcome],
        "is_bad": recording.record.outcome.is_terminal,
        "dt_s": STEP_LENGTH_S,
        "frames": len(recording.frames),
        "stale_ms": round(1000 * recording.stale_after_s),
        "span_m": span_m(recording),
        "ego": column[ego],
        "hazard": column.get(hazard.vehicle_id) if hazard is not None else None,
        "cars": [_car(recording, vehicle_id) for vehicle_id in ids],
        "x": [_differences(_from_origin(place[index], origin_m, 0) for place in positions) for index in range(len(ids))],
        "y": [_differences(_from_origin(place[index], origin_m, 1) for place in positions) for index in range(len(ids))],
        "heading": _column(recording, rows, "heading_rad", 1000),
        "speed": _column(recording, rows, "speed_mps", 100),
        "gap": _differences(_cm(frame.situation.gap_m) for frame in recording.frames),
        "leader": [column.get(frame.situation.leader_id or "", -1) for frame in recording.frames],
        "leader_speed": _differences(
            None if frame.situation.leader_id is None else _cm(frame.situation.leader_speed_mps) for frame in recording.frames
        ),
        "accel": _differences(_cm(frame.situation.accel_mps2) for frame in recording.frames),
        "action": _differences(None if frame.action is None else round(1000 * frame.action) for frame in recording.frames),
        "distracted": _windows(frame.is_distracted for frame in recording.frames),
        "hazard_window": _hazard_window(recording),
        "heard": [_heard(frame, column, origin_m) for frame in recording.frames],
        "air": _air(recording, column),
        "events": [{"t": round(event.time_s, 1), "kind": event.kind, "text": event.text} for event in events(recording)],
        "road": _road(recording, box, origin_m),
    }


def packed(content: dict[str, Any]) -> str:
    """The object as gzipped JSON in base64, about a tenth of its size; the browser unpacks it with its own DecompressionStream."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=9, mtime=0)).decode()


def _shown_ids(recording: Recording) -> tuple[str, ...]:
    """The ego, the convoy, and every other car that was once near; in order of their first appearance."""
    ego_id = recording.scenario.ego_id
    convoy = {ego_id, *(recording.scenario.peer_ids or ())}
    shown = {ego_id: None}
    for frame in recording.frames:
        vehicles = frame.state.vehicles
        ego = vehicles.index.get(ego_id)
        if ego is None:
            continue
        distance_m = np.hypot(vehicles.x_m - vehicles.x_m[ego], vehicles.y_m - vehicles.y_m[ego])
        for row, vehicle_id in enumerate(vehicles.ids):
            if vehicle_id in convoy or distance_m[row] < _NEAR_M:
                shown[vehicle_id] = None
    return tuple(shown)


def _car(recording: Recording, vehicle_id: str) -> dict[str, Any]:
    hazard, peers = recording.script.hazard, recording.scenario.peer_ids
    if vehicle_id == recording.scenario.ego_id:
        role = "ego"
    elif hazard is not None and vehicle_id == hazard.vehicle_id:
        role = "hazard"
    elif vehicle_id == recording.late_id:
        role = "late"
    elif peers is None or vehicle_id in peers:
        role = "peer"
    else:
        role = "equipped" if vehicle_id in recording.equipped_ids else "other"
    return {"id": vehicle_id, "role": role, "length": _cm(_length_m(recording, vehicle_id)), "width": _cm(CAR_WIDTH_M)}


def _length_m(recording: Recording, vehicle_id: str) -> float:
    vehicles = next(frame.state.vehicles for frame in recording.frames if vehicle_id in frame.state.vehicles.index)
    return float(vehicles.length_m[vehicles.index[vehicle_id]])


def _places(frame: Frame, rows: Sequence[int | None]) -> list[tuple[float, float] | None]:
    vehicles = frame.state.vehicles
    return [None if row is None else (float(vehicles.x_m[row]), float(vehicles.y_m[row])) for row in rows]


def _from_origin(place: tuple[float, float] | None, origin_m: tuple[float, float], axis: int) -> int | None:
    return None if place is None else _cm(place[axis] - origin_m[axis])


def _column(recording: Recording, rows: Sequence[Sequence[int | None]], name: str, scale: float) -> list[list[int | None]]:
    arrays: list[FloatArray] = [getattr(frame.state.vehicles, name) for frame in recording.frames]
    return [
        _differences(
            None if row[index] is None else round(scale * float(array[row[index]])) for array, row in zip(arrays, rows, strict=True)
        )
        for index in range(len(rows[0]))
    ]


def _differences(values: Iterable[int | None]) -> list[int | None]:
    """Each value less the one before it that was there; None stays None."""
    result: list[int | None] = []
    before = 0
    for value in values:
        result.append(None if value is None else value - before)
        before = before if value is None else value
    return result


def _cm(value_m: float) -> int | None:
    return round(100 * value_m) if math.isfinite(value_m) else None


def _windows(flags: Iterable[bool]) -> list[list[int]]:
    """Frames [first, end) of each run of true flags."""
    windows: list[list[int]] = []
    is_open = False
    for place, flag in enumerate(flags):
        if flag and not is_open:
            windows.append([place, place + 1])
        elif flag:
            windows[-1][1] = place + 1
        is_open = flag
    return windows


def _hazard_window(recording: Recording) -> list[int] | None:
    hazard, last = recording.script.hazard, len(recording.frames) - 1
    if hazard is None or recording.fired_s is None:
        return None
    end = last if not math.isfinite(hazard.resolves_s) else min(last, round(hazard.resolves_s / STEP_LENGTH_S))
    return [round(recording.fired_s / STEP_LENGTH_S), end]


def _heard(frame: Frame, column: dict[str, int], origin_m: tuple[float, float]) -> list[list[int | None]]:
    """Rows [car, age, links, x, y]: where the ego believes each car to be."""
    heard, links = frame.heard, frame.radio.links if frame.radio is not None else {}
    return [
        [column[source], round(1000 * age_s), links.get(source, 0), _cm(x_m - origin_m[0]), _cm(y_m - origin_m[1])]
        for source, age_s, x_m, y_m in zip(heard.source_ids, heard.age_s.tolist(), heard.x_m.tolist(), heard.y_m.tolist(), strict=True)
        if source in column
    ]


def _air(recording: Recording, column: dict[str, int]) -> dict[str, Any]:
    """Who broadcast, whenever that changed, as [frame, cars]; and per frame a string of fates, sender by sender."""
    rosters: list[tuple[int, list[int]]] = []
    fates: list[str] = []
    for place, frame in enumerate(recording.frames):
        view = frame.radio
        shown = [] if view is None else [row for row, vehicle_id in enumerate(view.ids) if vehicle_id in column]
        cars = [] if view is None else [column[view.ids[row]] for row in shown]
        if not rosters or rosters[-1][1] != cars:
            rosters.append((place, cars))
        if view is None:
            fates.append("")
            continue
        receivers = [row for row in shown if row < view.fates.shape[1]]
        fates.append("".join(map(str, view.fates[np.ix_(shown, receivers)].ravel().tolist())))
    return {"rosters": rosters, "fates": fates}


def _road(recording: Recording, box: Box, origin_m: tuple[float, float]) -> dict[str, Any]:
    road = road_map(recording.network_file, box)

    def flat(shape: Iterable[tuple[float, float]]) -> list[int | None]:
        return [number for x, y in shape for number in (_cm(x - origin_m[0]), _cm(y - origin_m[1]))]

    return {
        "lanes": [[_cm(lane.width_m), flat(lane.shape)] for lane in road.lanes],
        "junctions": [flat(shape) for shape in road.junctions],
    }


def span_m(recording: Recording) -> float:
    """The stretch of road that should be in view: from the ego to the hazard car, else to the farthest car of the convoy ahead."""
    ego, hazard = recording.scenario.ego_id, recording.script.hazard
    watched = [hazard.vehicle_id] if hazard is not None else list(recording.scenario.peer_ids or ())
    distances_m = [0.0]
    for frame in recording.frames:
        vehicles = frame.state.vehicles
        if ego not in vehicles.index:
            continue
        own = vehicles.index[ego]
        for row in (vehicles.index[name] for name in watched if name in vehicles.index):
            distances_m.append(math.hypot(vehicles.x_m[row] - vehicles.x_m[own], vehicles.y_m[row] - vehicles.y_m[own]))
    far_m = float(np.quantile(distances_m, 0.9))
    return min(_LONGEST_SPAN_M, max(_SHORTEST_SPAN_M, 1.5 * far_m))
