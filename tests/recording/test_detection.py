"""Detection is worth what it beats chance by."""

import numpy as np
import pytest

from roadsense.recording.detection import detect
from roadsense.recording.events import BrakingEvent
from roadsense.recording.replay import Decisions

STEPS = 6000  # ten minutes
EVENTS = tuple(BrakingEvent(source_id="V002", heard_s=40.0 + 55.0 * k, end_s=42.0 + 55.0 * k, decel_mps2=6.0) for k in range(10))


def judged(braking, events=EVENTS):
    time_s = np.arange(STEPS) * 0.1
    decisions = Decisions(time_s=time_s, action=np.where(braking, 0.5, 0.0), peers=np.ones(STEPS), observations=())
    return detect(decisions, events, np.random.default_rng(0))


def braking_at(*intervals):
    time_s = np.arange(STEPS) * 0.1
    return np.any([(time_s >= low - 1e-6) & (time_s < high - 1e-6) for low, high in intervals], axis=0)


def test_braking_with_the_events_beats_chance():
    found = judged(braking_at(*[(event.heard_s + 0.4, event.heard_s + 2.0) for event in EVENTS]))
    assert (found.events, found.detected, found.false_alarms) == (10, 10, 0)
    assert found.delays_s == pytest.approx([0.4] * 10, abs=1e-6)
    assert found.chance_detected < 2 and found.p_value < 0.1


def test_always_braking_detects_everything_and_is_worth_nothing():
    found = judged(np.ones(STEPS, dtype=bool))
    assert (found.detected, found.chance_detected, found.p_value) == (10, 10.0, 1.0)
    assert found.false_braking_share == 1.0


def test_braking_at_random_is_worth_what_chance_is():
    rng = np.random.default_rng(1)
    p_values = []
    for _ in range(30):
        starts = rng.uniform(0, 590, size=60)
        found = judged(braking_at(*[(start, start + 1.0) for start in starts]))
        p_values.append(found.p_value)
    assert 0.25 < np.mean(p_values) < 0.9 and min(p_values) > 0.001


def test_never_braking_detects_nothing():
    found = judged(np.zeros(STEPS, dtype=bool))
    assert (found.detected, found.chance_detected, found.p_value, found.false_alarms) == (0, 0.0, 1.0, 0)
    assert set(found.delays_s) == {None}


def test_braking_too_late_and_between_the_events_is_a_false_alarm():
    found = judged(braking_at((46.0, 47.0), (70.0, 71.0)))
    assert found.detected == 0 and found.false_alarms == 2
    assert found.false_braking_share == pytest.approx(2.0 / found.outside_s, rel=0.1)


def test_braking_after_the_window_but_within_the_event_is_neither():
    found = judged(braking_at((43.5, 44.5)))
    assert found.detected == 0 and found.false_alarms == 0


def test_a_drive_without_events_has_no_chance():
    found = judged(braking_at((70.0, 71.0)), events=())
    assert (found.events, found.chance_detected, found.p_value, found.false_alarms) == (0, None, None, 1)
