"""Logs written from simulated episodes: replayed, they give the observations of the episode again, and its hazard is found."""

import json

import numpy as np
import pytest

from roadsense.cli import main
from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.episodes import evaluation_plan
from roadsense.evaluation.policies import resolve_policy
from roadsense.recording.events import EventSettings, braking_events
from roadsense.recording.log import read_recording
from roadsense.recording.replay import replay
from roadsense.recording.synthesis import write_recording
from roadsense.scenario.dataset import Dataset


@pytest.fixture(scope="module")
def env(dataset_dir):
    dataset = Dataset.load(dataset_dir)
    env = ConvoyEnv(
        dataset=dataset, scenario_mode="eval", task={"horizon_s": 20.0, "hazard": {"probability": 1.0, "onset_s": {"low": 6, "high": 10}}}
    )
    yield env
    env.close()


@pytest.fixture(scope="module")
def drives(env, tmp_path_factory):
    """Every evaluation scenario, driven without the agent; one log each."""
    made = []
    for place, scenario in enumerate(env.dataset.eval):
        folder = tmp_path_factory.mktemp(f"drive{place}")
        tx, rx = folder / "V001_tx.csv", folder / "V001_rx.csv"
        record, observations = write_recording(
            env, resolve_policy("never_brake"), evaluation_plan(env.dataset, scenario.scenario_id, 0), tx, rx
        )
        made.append((record, observations, tx, rx))
    return made


def by_row(observation):
    values = observation["peers"].values
    return values[np.argsort(values[:, 4])]  # noisy accelerations: no two are equal


def test_the_replay_sees_what_the_episode_saw(drives):
    peers = 0
    for _, observations, tx, rx in drives:
        decisions = replay(read_recording(tx, rx, ego_id="V001"), resolve_policy("ttc_radio"), np.random.default_rng(0))
        assert len(decisions.observations) == len(observations)
        for seen, replayed in zip(observations, decisions.observations, strict=True):
            np.testing.assert_allclose(replayed["ego"], seen["ego"], atol=2e-5)
            np.testing.assert_allclose(by_row(replayed), by_row(seen), atol=5e-4)
            peers += seen["peers"].count
    assert peers > 1000


def test_the_hazards_of_the_episodes_are_found(drives):
    """Each where the record says that the ego first heard of it, and hard braking nowhere before."""
    found = 0
    for record, _, tx, rx in drives:
        recording = read_recording(tx, rx, ego_id="V001")
        start_s = recording.own[0].logged_s
        heard = [event.heard_s - start_s for event in braking_events(recording, EventSettings())]
        if record.hazard_fired and record.hazard_heard_s is not None and record.hazard_decel_mps2 > 4:
            assert any(abs(time_s - record.hazard_heard_s) < 0.5 for time_s in heard), record
            found += 1
    assert found >= 3


def test_clocks_apart_change_little(env, tmp_path):
    plan = evaluation_plan(env.dataset, env.dataset.eval[0].scenario_id, 0)
    tx, rx = tmp_path / "tx.csv", tmp_path / "rx.csv"
    _, observations = write_recording(env, resolve_policy("never_brake"), plan, tx, rx, clock_ahead_ms=-77_000)
    recording = read_recording(tx, rx, ego_id="V001")
    assert all(offset_s == pytest.approx(77, abs=0.1) for offset_s in recording.clock_offsets_s.values())
    replayed = replay(recording, resolve_policy("ttc_radio"), np.random.default_rng(0)).observations
    for seen, again in zip(observations, replayed, strict=True):
        assert seen["peers"].count == again["peers"].count
        np.testing.assert_allclose(by_row(again)[:, :5], by_row(seen)[:, :5], atol=5e-4)
        np.testing.assert_allclose(by_row(again)[:, 5], by_row(seen)[:, 5], atol=0.02)  # 0.5 s is 1


def test_the_command(drives, capsys, tmp_path):
    _, _, tx, rx = max(drives, key=lambda drive: drive[0].hazard_decel_mps2 or 0)
    path = tmp_path / "figures.json"
    words = ["--tx", str(tx), "--rx", str(rx), "--json_path", str(path)]
    assert main(["validate-recording", *words, "--model", "ttc_radio"]) == 0
    out = capsys.readouterr().out
    assert "left out" in out and "by chance" in out and "false alarms" in out
    figures = json.loads(path.read_text())
    assert figures["detection"]["events"] >= 1 and figures["recording"]["left_out"]["sent for other vehicles"] > 0
    assert main(["validate-recording", *words, "--model", "always_brake"]) == 0
    always = json.loads(path.read_text())["detection"]
    assert always["detected"] == always["events"] == always["chance_detected"] and always["p_value"] == 1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"--tx": "nowhere.csv"}, ["nowhere.csv", "no such file"]),
        ({"--model": "oracle"}, ["oracle", "true state"]),
        ({"--model": "nowhere.h"}, ["nowhere.h", "no such file"]),
        ({"--ego_id": "V009"}, ["V009"]),
        ({"--window_s": "-1"}, ["window_s"]),
        ({"--forward_axis": "w"}, ["forward_axis"]),
    ],
)
def test_bad_input_is_one_line(drives, capsys, tmp_path, monkeypatch, change, words):
    monkeypatch.chdir(tmp_path)
    _, _, tx, rx = drives[0]
    flags = {"--tx": str(tx), "--rx": str(rx), "--model": "ttc_radio"} | change
    assert main(["validate-recording", *(word for pair in flags.items() for word in pair)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("roadsense: ") and len(error.strip().splitlines()) == 1
    for word in words:
        assert word in error
    assert list(tmp_path.iterdir()) == []
