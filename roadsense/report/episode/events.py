"""What happened in an episode, in words and in order: the lines beside the player and the marks on its time axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from roadsense.config import STEP_LENGTH_S
from roadsense.env.hazard import PILE_UP
from roadsense.env.outcome import Outcome
from roadsense.features import RELEASE_THRESHOLD
from roadsense.report.episode.recording import Recording

EventKind = Literal["hazard", "radio", "agent", "driver", "end", "bad_end"]

# Braking that pauses for less than this reads as one manoeuvre.
_SHORTEST_PAUSE_S: Final = 0.5

OUTCOME_WORDS: Final = {
    Outcome.COLLISION: "ran into the car ahead",
    Outcome.EGO_REAR_ENDED: "was hit from behind",
    Outcome.LEFT_ROAD: "left the road",
    Outcome.ROUTE_ENDED: "reached the end of its route",
    Outcome.SAFE: "drove to the end of the time",
    Outcome.FAULT: "the simulator failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line; `time_s` counts from the first decision."""

    time_s: float
    kind: EventKind
    text: str


def events(recording: Recording) -> tuple[Event, ...]:
    """All events in order of time."""
    found = [*_hazard(recording), *_benign(recording), *_distractions(recording), *_braking(recording), _end(recording)]
    return tuple(sorted(found, key=lambda event: event.time_s))


def _hazard(recording: Recording) -> list[Event]:
    hazard, fired_s, heard_s = recording.script.hazard, recording.fired_s, recording.record.hazard_heard_s
    if hazard is None or fired_s is None:
        return []
    what = f"{hazard.vehicle_id}, car {hazard.rank} ahead, brakes with {hazard.decel_mps2:.1f} m/s²"
    found = [Event(time_s=fired_s, kind="hazard", text=what)]
    if hazard.kind == PILE_UP and recording.late_id is not None:
        found.append(Event(time_s=fired_s, kind="hazard", text=f"{recording.late_id} behind it does not see it: a pile-up"))
    if heard_s is not None:
        found.append(Event(time_s=heard_s, kind="radio", text=f"the ego hears that {hazard.vehicle_id} brakes{_way(recording, heard_s)}"))
    else:
        found.append(Event(time_s=_end_s(recording), kind="radio", text=f"the ego never heard that {hazard.vehicle_id} braked"))
    if math.isfinite(hazard.resolves_s) and hazard.resolves_s < _end_s(recording):
        found.append(Event(time_s=hazard.resolves_s, kind="hazard", text=f"{hazard.vehicle_id} drives on"))
    return found


def _way(recording: Recording, heard_s: float) -> str:
    """How the first message came: directly or over how many links."""
    hazard = recording.script.hazard
    frame = recording.frames[min(round(heard_s / STEP_LENGTH_S), len(recording.frames) - 1)]
    links = frame.radio.links.get(hazard.vehicle_id, 0) if frame.radio is not None and hazard is not None else 0
    return "" if links == 0 else " (directly)" if links == 1 else f" (over {links} links)"


def _benign(recording: Recording) -> list[Event]:
    benign = recording.script.benign
    if benign is None or benign.onset_s >= _end_s(recording):
        return []
    text = f"{benign.vehicle_id} slows down gently with {benign.decel_mps2:.1f} m/s²: no reason to brake"
    return [Event(time_s=benign.onset_s, kind="hazard", text=text)]


def _distractions(recording: Recording) -> list[Event]:
    """From the frames, not from the script: its windows may overlap."""
    found = []
    was_distracted = False
    for frame in recording.frames[:-1]:
        if frame.is_distracted != was_distracted:
            text = "the ego's driver looks away and holds the speed" if frame.is_distracted else "the driver looks up again"
            found.append(Event(time_s=frame.time_s, kind="driver", text=text))
        was_distracted = frame.is_distracted
    return found


def braking_spells(recording: Recording) -> tuple[tuple[int, int], ...]:
    """Frames [first, end) in which the agent has the brake; short pauses are bridged."""
    braking = [place for place, frame in enumerate(recording.frames) if frame.action is not None and frame.action > RELEASE_THRESHOLD]
    if not braking:
        return ()
    longest_pause = round(_SHORTEST_PAUSE_S / STEP_LENGTH_S)
    breaks = [(before, after) for before, after in pairwise(braking) if after - before > longest_pause]
    firsts = [braking[0], *(after for _, after in breaks)]
    lasts = [*(before for before, _ in breaks), braking[-1]]
    return tuple((first, last + 1) for first, last in zip(firsts, lasts, strict=True))


def _braking(recording: Recording) -> list[Event]:
    found = []
    for first, end in braking_spells(recording):
        peak = max(frame.action or 0.0 for frame in recording.frames[first:end])
        text = f"the policy brakes for {(end - first) * STEP_LENGTH_S:.1f} s, at most {100 * peak:.0f} % of full braking"
        found.append(Event(time_s=recording.frames[first].time_s, kind="agent", text=text))
    return found


def _end(recording: Recording) -> Event:
    outcome, impact_mps = recording.record.outcome, recording.record.impact_speed_mps
    text = f"the ego {OUTCOME_WORDS[outcome]}"
    if outcome is Outcome.COLLISION and impact_mps is not None:
        text += f", {impact_mps:.1f} m/s faster than it"
    return Event(time_s=_end_s(recording), kind="bad_end" if outcome.is_terminal else "end", text=text)


def _end_s(recording: Recording) -> float:
    return recording.frames[-1].time_s
