"""Whether a policy brakes when a car ahead does, beside what the same braking would be worth at other times.

A policy that brakes always detects everything. So the events are moved through the drive, all by one random time and around its end, and
detection is counted again: the share that braking like this detects by chance. Moving them together keeps their distances, moving them
rather than the braking keeps its bursts (a circular shift test).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from roadsense.recording.events import BrakingEvent
from roadsense.recording.replay import Decisions
from roadsense.state import FloatArray

_SHUFFLES: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """What a policy's braking was worth in a drive.

    Attributes:
        events: how many braking events there were.
        detected: in how many the policy braked within the window after they were heard.
        delays_s: by event, from hearing to the first braking; None where there was none.
        chance_detected: how many would be detected with the events at other times, in the mean.
        p_value: share of such shuffles that detect as many or more; 1 for always braking.
        false_alarms: times at which braking began outside all events.
        false_braking_share: share of the decisions outside events in which the policy braked.
        outside_s: how much of the drive lies outside events.
    """

    events: int
    detected: int
    delays_s: tuple[float | None, ...]
    chance_detected: float | None
    p_value: float | None
    false_alarms: int
    false_braking_share: float
    outside_s: float


def detect(
    decisions: Decisions, events: Sequence[BrakingEvent], rng: np.random.Generator, *, window_s: float = 3.0, settle_s: float = 3.0
) -> Detection:
    """Judge the braking of a drive.

    Args:
        decisions: what the policy would have done, T > 0 of them.
        events: the braking events.
        rng: for the shuffles.
        window_s: time after hearing of an event in which braking counts as detection.
        settle_s: time after the end of an event in which braking is no false alarm yet.
    """
    time_s, brakes = decisions.time_s, decisions.brakes > 0
    step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.1
    width = max(1, round(window_s / step_s))
    places = np.array([min(int(np.searchsorted(time_s, event.heard_s)), len(time_s) - 1) for event in events], dtype=np.intp)
    hit = _braking_within(brakes, width, around=False)
    hit_around = _braking_within(brakes, width, around=True)
    delays_s = tuple(_delay_s(time_s, brakes, place, width, event) for place, event in zip(places, events, strict=True))
    detected = int(hit[places].sum()) if len(places) else 0
    shuffled = _shuffled(hit_around, places, rng)
    outside = np.ones(len(time_s), dtype=bool)
    for event in events:
        outside &= ~((time_s >= event.heard_s) & (time_s <= event.end_s + settle_s))
    rising = brakes & ~np.concatenate([[False], brakes[:-1]])
    return Detection(
        events=len(events),
        detected=detected,
        delays_s=delays_s,
        chance_detected=float(shuffled.mean()) if len(places) else None,
        p_value=float((1 + np.count_nonzero(shuffled >= detected)) / (1 + len(shuffled))) if len(places) else None,
        false_alarms=int(np.count_nonzero(rising & outside)),
        false_braking_share=float(brakes[outside].mean()) if outside.any() else 0.0,
        outside_s=float(outside.sum() * step_s),
    )


def _braking_within(brakes: NDArray[np.bool_], width: int, *, around: bool) -> NDArray[np.bool_]:
    """For each decision, whether the policy brakes at it or in the `width` decisions after it; around the end of the drive or up to it."""
    tail = brakes[:width] if around else np.zeros(width, dtype=bool)
    total = np.concatenate([[0], np.cumsum(np.concatenate([brakes, np.resize(tail, width)]))])
    count = len(brakes)
    within: NDArray[np.bool_] = (total[width + 1 : width + 1 + count] - total[:count]) > 0
    return within


def _delay_s(time_s: FloatArray, brakes: NDArray[np.bool_], place: int, width: int, event: BrakingEvent) -> float | None:
    braking = np.flatnonzero(brakes[place : place + width + 1])
    return float(time_s[place + braking[0]] - event.heard_s) if len(braking) else None


def _shuffled(hit: NDArray[np.bool_], places: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """How many events are detected when all are moved by one random time: an array of counts."""
    moves = rng.integers(len(hit), size=(_SHUFFLES, 1))
    counts: NDArray[np.intp] = hit[(places[None, :] + moves) % len(hit)].sum(axis=1)
    return counts
