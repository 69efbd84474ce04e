"""What a recording holds is what SUMO and the radio said; what the player gets is the same in whole numbers."""

import base64
import dataclasses
import gzip
import json
import math

import numpy as np
import pytest

from roadsense.errors import DefectsFoundError
from roadsense.report.episode.events import braking_spells, events
from roadsense.report.episode.payload import packed, payload
from roadsense.report.episode.recording import record_episode
from roadsense.report.episode.road import Box, road_map
from roadsense.report.episode.stage import stage


def decoded(differences, scale):
    """The player's side of the format."""
    value, values = 0, []
    for difference in differences:
        value += difference or 0
        values.append(None if difference is None else value / scale)
    return values


def test_a_recording_holds_every_decision_and_the_crash(crash):
    recording, _ = crash
    frames = recording.frames
    assert len(frames) == recording.record.steps + 1
    assert [frame.action for frame in frames[:-1]] == list(recording.record.actions) and frames[-1].action is None
    np.testing.assert_allclose([frame.time_s for frame in frames], 0.1 * np.arange(len(frames)))
    assert frames[-1].situation.gap_m < 0 < frames[-2].situation.gap_m
    assert frames[-1].situation.closing_speed_mps == recording.record.impact_speed_mps
    assert recording.fired_s == pytest.approx(recording.record.hazard_onset_s, abs=0.1)
    assert min(frame.situation.gap_m for frame in frames) == recording.record.min_gap_m


def test_what_was_heard_agrees_with_the_air(crash):
    """A neighbour that is 0.1 s old over one link was delivered in the period before."""
    recording, _ = crash
    checked = 0
    for before, now in zip(recording.frames, recording.frames[1:], strict=False):
        fates = dict(zip(before.radio.ids, before.radio.fates[:, 0].tolist(), strict=True))
        for source, age_s in zip(now.heard.source_ids, now.heard.age_s.tolist(), strict=True):
            if age_s == pytest.approx(0.1):
                assert fates[source] == 0 and now.radio.links[source] == 1
                checked += 1
    assert checked > 20


def test_the_player_gets_the_same_positions_to_a_centimetre(crash):
    recording, _ = crash
    content = json.loads(gzip.decompress(base64.b64decode(packed(payload(recording, "title")))))
    assert content["frames"] == len(recording.frames)
    ids = [car["id"] for car in content["cars"]]
    assert ids[content["ego"]] == "V001" and ids[content["hazard"]] == recording.script.hazard.vehicle_id
    ego = content["ego"]
    for name, attribute, scale, tolerance in (
        ("x", "x_m", 100, 0.011),
        ("y", "y_m", 100, 0.011),
        ("speed", "speed_mps", 100, 0.006),
        ("heading", "heading_rad", 1000, 6e-4),
    ):
        truth = np.array([getattr(frame.state.vehicles, attribute)[frame.state.vehicles.index["V001"]] for frame in recording.frames])
        shown = np.array(decoded(content[name][ego], scale))
        offset = truth[0] - shown[0] if name in "xy" else 0.0  # positions are told from the middle of the picture
        np.testing.assert_allclose(shown + offset, truth, atol=tolerance)
    gaps = [frame.situation.gap_m for frame in recording.frames]
    assert decoded(content["gap"], 100) == [None if math.isinf(gap) else pytest.approx(gap, abs=0.006) for gap in gaps]
    assert decoded(content["action"], 1000)[-1] is None
    for frame, rows in zip(recording.frames, content["heard"], strict=True):
        ages = dict(zip(frame.heard.source_ids, frame.heard.age_s.tolist(), strict=True))
        assert {ids[car]: age for car, age, *_ in rows} == {name: round(1000 * age) for name, age in ages.items() if name in ids}


def test_the_fates_stand_in_the_order_of_the_roster(crash):
    recording, _ = crash
    content = payload(recording, "title")
    ids = [car["id"] for car in content["cars"]]
    for place in (0, len(recording.frames) // 2, len(recording.frames) - 1):
        view = recording.frames[place].radio
        roster = [cars for start, cars in content["air"]["rosters"] if start <= place][-1]
        text = content["air"]["fates"][place]
        receivers = len(text) // len(roster)
        for row, car in enumerate(roster):
            assert int(text[row * receivers]) == view.fates[view.ids.index(ids[car]), 0]


def test_the_events_tell_the_story_in_order(crash):
    recording, _ = crash
    told = events(recording)
    assert [event.time_s for event in told] == sorted(event.time_s for event in told)
    kinds = [event.kind for event in told]
    assert "hazard" in kinds and "radio" in kinds and kinds[-1] == "bad_end" and "agent" not in kinds
    heard = next(event for event in told if event.kind == "radio")
    assert heard.time_s == recording.record.hazard_heard_s
    assert f"{recording.record.impact_speed_mps:.1f} m/s" in told[-1].text


def test_braking_with_short_pauses_is_one_spell(crash):
    recording, _ = crash
    actions = [0.0, 0.5, 0.5, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.3, 0.01]
    frames = tuple(dataclasses.replace(recording.frames[place], action=action) for place, action in enumerate(actions))
    assert braking_spells(dataclasses.replace(recording, frames=frames)) == ((1, 6), (14, 15))


def test_another_course_is_never_shown_as_the_recorded_one(crash, evaluation_dir):
    recording, _ = crash
    env = stage(evaluation_dir, training=False)
    try:
        with pytest.raises(DefectsFoundError, match="differs from the record"):
            record_episode(env, dataclasses.replace(recording.record, episode_return=99.0), "never_brake")
    finally:
        env.close()


def test_the_road_is_clipped_to_where_the_cars_were(crash):
    recording, _ = crash
    vehicles = recording.frames[0].state.vehicles
    here = [(float(vehicles.x_m[0]), float(vehicles.y_m[0]))]
    near, far = (road_map(recording.network_file, Box.around(here, margin)) for margin in (20.0, 1e5))
    assert 0 < len(near.lanes) <= len(far.lanes)
    assert all(lane.width_m > 2 for lane in far.lanes)
    assert road_map(recording.network_file, Box.around([(1e6, 1e6)], 10.0)).lanes == ()
