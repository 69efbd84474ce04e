"""Commanded is achieved: every lever of the task, measured on real SUMO."""

import numpy as np
import pytest

from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.outcome import Outcome
from roadsense.features import RELEASE_THRESHOLD

NOTHING = np.zeros(1, np.float32)
CERTAIN = {"hazard": {"probability": 1.0, "onset_s": {"low": 3.0, "high": 5.0}, "resolve_probability": 0.0}}


@pytest.fixture
def make(dataset_dir):
    opened = []

    def open_env(**options) -> ConvoyEnv:
        opened.append(ConvoyEnv(dataset_dir=dataset_dir, **options))
        return opened[-1]

    yield open_env
    for env in opened:
        env.close()


def scenario_with_peers(env, count=3) -> str:
    """An evaluation scenario with a car ahead; its ids end in _n<peers>."""
    return next(s.scenario_id for s in env.dataset.eval if len(s.peer_ids) >= count)


@pytest.mark.parametrize("action", [0.25, 0.5, 1.0])
def test_the_ego_decelerates_as_commanded(make, action):
    """Also far beyond the vehicle type's own `decel` of 4.5 m/s2."""
    env = make(scenario_mode="eval", task={"hazard": {"probability": 0.0}})
    env.reset()
    speeds_mps = [env.episode.situation.speed_mps]
    for _ in range(8):
        env.step(np.array([action], np.float32))
        speeds_mps.append(env.episode.situation.speed_mps)
    achieved_mps2 = -np.diff(speeds_mps) / 0.1
    assert achieved_mps2 == pytest.approx(np.full(8, 8.0 * action), rel=0.05)


def test_the_hazard_car_decelerates_as_drawn(make):
    env = make(scenario_mode="eval", task=CERTAIN)
    env.reset(options={"scenario_id": scenario_with_peers(env)})
    hazard = env.episode.script.hazard
    speeds_mps = []
    for _ in range(60):
        if env.episode is None:
            break
        state = env._state
        speeds_mps.append(float(state.vehicles.speed_mps[state.vehicles.index[hazard.vehicle_id]]))
        env.step(NOTHING)
    onset = round(hazard.onset_s / 0.1 + 0.5)
    achieved_mps2 = -np.diff(speeds_mps)[onset : onset + 5] / 0.1
    assert achieved_mps2 == pytest.approx(np.full(5, hazard.decel_mps2), rel=0.05)


def test_at_or_below_the_threshold_the_driver_has_the_car(make):
    env = make(scenario_mode="eval", task={"hazard": {"probability": 0.0}, "distraction": {"hazard_free_probability": 0.0}})
    for action in (0.0, RELEASE_THRESHOLD):
        env.reset(seed=0)
        for _ in range(20):
            env.step(np.array([action], np.float32))
        assert env.episode.record(Outcome.SAFE).false_braking_steps == 0
        assert env.episode.situation.speed_mps > 5.0


def test_a_distracted_driver_holds_the_speed_and_an_attentive_one_does_not_crash(make):
    """The same hazard with and without distraction: the crash is the distraction's doing."""
    outcomes = {}
    for name, reaction in (("distracted", {"low": 6.0, "high": 6.0}), ("attentive", {"low": 0.0, "high": 0.0})):
        task = {
            "hazard": {"probability": 1.0, "onset_s": {"low": 4.0, "high": 4.0}, "decel_mps2": {"low": 8.0, "high": 8.0}, "rank_ratio": 0.01,
                       "end_speed_fraction": {"low": 0.0, "high": 0.0}, "resolve_probability": 0.0},
            "distraction": {"lead_s": {"low": 0.0, "high": 0.0}, "reaction_s": reaction},
        }  # fmt: skip
        env = make(scenario_mode="eval", task=task)
        env.reset(options={"scenario_id": scenario_with_peers(env)})
        info = {}
        while "record" not in info:
            *_, info = env.step(NOTHING)
        outcomes[name] = info["record"].outcome
    assert outcomes == {"distracted": Outcome.COLLISION, "attentive": Outcome.SAFE}


def test_a_collision_is_seen_at_contact(make):
    """Geometry and impact speed: the gap before contact is positive and smaller than one step's closing."""
    env = make(scenario_mode="eval", task=CERTAIN | {"distraction": {"reaction_s": {"low": 8.0, "high": 8.0}}})
    env.reset(options={"scenario_id": scenario_with_peers(env)})
    info, gap_m, closing_mps = {}, np.inf, 0.0
    while "record" not in info:
        gap_m, closing_mps = env.episode.situation.gap_m, env.episode.situation.closing_speed_mps
        *_, info = env.step(NOTHING)
    record = info["record"]
    assert record.outcome is Outcome.COLLISION
    assert 0.0 <= gap_m <= (closing_mps + 1.0) * 0.1 + 0.01
    assert record.impact_speed_mps == pytest.approx(closing_mps, abs=1.1)
    assert record.min_gap_m <= 0.0


def test_braking_in_time_prevents_it(make):
    env = make(scenario_mode="eval", task=CERTAIN | {"distraction": {"reaction_s": {"low": 8.0, "high": 8.0}}})
    env.reset(options={"scenario_id": scenario_with_peers(env)})
    onset_s, info, steps = env.episode.script.hazard.onset_s, {}, 0
    while "record" not in info:
        *_, info = env.step(np.array([1.0 if steps * 0.1 > onset_s + 0.4 else 0.0], np.float32))
        steps += 1
    assert info["record"].outcome is not Outcome.COLLISION
    assert info["record"].hazard_heard_s + info["record"].reaction_s - onset_s == pytest.approx(0.5, abs=0.11)


def test_a_bend_taken_too_fast_is_left(dataset_dir, tmp_path):
    """A distracted driver on the rural bends at twice their speed: its own outcome, never a success."""
    import shutil

    from roadsense.scenario.locate import default_base_dir

    base = shutil.copytree(default_base_dir() / "rural_curve", tmp_path / "fast")
    network = base / "network.net.xml"
    network.write_text(network.read_text().replace('speed="7.60"', 'speed="15.20"'))
    task = {
        "hazard": {"probability": 0.0, "onset_s": {"low": 5.0, "high": 5.0}},
        "distraction": {"hazard_free_probability": 1.0, "lead_s": {"low": 5.0, "high": 5.0}, "reaction_s": {"low": 40.0, "high": 40.0}},
    }
    env = ConvoyEnv(sumo_cfg=base / "scenario.sumocfg", scenario_mode="eval", task=task)
    try:
        env.reset(seed=1)
        info = {}
        while "record" not in info:
            *_, info = env.step(NOTHING)
        assert info["record"].outcome is Outcome.LEFT_ROAD
    finally:
        env.close()
