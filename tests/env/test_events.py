"""Pile-ups, benign braking and the held speed: what is scripted happens, measured on real SUMO, and on hand-made traffic."""

import numpy as np
import pytest

from roadsense.env.braking import Braking, Wrecks
from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.driving import SpeedNoise
from roadsense.env.outcome import Outcome

NOTHING = np.zeros(1, np.float32)
PILE_UP = {
    "hazard": {"probability": 1.0, "onset_s": {"low": 3.0, "high": 5.0}, "pile_up": {"probability": 1.0}, "rank_ratio": 0.01},
    "horizon_s": 20.0,
}


class Row:
    """Cars in a row, nearest to the ego first: id -> (front in m, speed in m/s); all are 5 m long."""

    def __init__(self, **cars):
        self.cars = cars
        self.cars_ahead = tuple(sorted(cars, key=lambda car: cars[car][0]))

    def speed_mps(self, vehicle_id):
        return self.cars[vehicle_id][1] if vehicle_id in self.cars else None

    def touching(self):
        pairs = zip(self.cars_ahead, self.cars_ahead[1:], strict=False)
        return [(behind, ahead) for behind, ahead in pairs if self.cars[ahead][0] - 5.0 < self.cars[behind][0]]


def test_braking_ends_at_its_end_speed_and_hands_the_car_back():
    braking = Braking(decel_mps2=5.0, end_speed_fraction=0.5, hold_s=0.25)
    speed_mps, speeds = 10.0, []
    for step in range(20):
        command = braking.commands("V002", step * 0.1, Row(V002=(10.0, speed_mps)))
        speeds.append(command.get("V002", "nothing"))
        speed_mps = command.get("V002") or speed_mps
    assert speeds[:10] == pytest.approx([10.0 - 0.5 * (k + 1) for k in range(10)])
    assert speeds[10:13] == [5.0, 5.0, 5.0]
    assert speeds[13] is None
    assert speeds[14:] == ["nothing"] * 6


def test_braking_says_nothing_of_a_car_that_has_left():
    assert Braking(decel_mps2=5.0, end_speed_fraction=0.0).commands("V002", 0.0, Row()) == {}


def test_cars_that_touch_share_their_speed_and_stop():
    wrecks = Wrecks(8.0)
    assert wrecks.commands(Row(V002=(10.0, 20.0), V003=(16.0, 0.0))) == {}
    assert wrecks.commands(Row(V002=(12.0, 20.0), V003=(16.0, 4.0))) == {"V002": 12.0, "V003": 12.0}
    assert wrecks.commands(Row(V002=(13.0, 12.0), V003=(17.0, 12.0))) == pytest.approx({"V002": 11.2, "V003": 11.2})
    assert "V002" in wrecks
    assert "V004" not in wrecks


def test_a_third_car_joins_the_wreck():
    wrecks = Wrecks(8.0)
    wrecks.commands(Row(V003=(12.0, 20.0), V004=(16.0, 4.0)))
    commands = wrecks.commands(Row(V002=(9.0, 18.0), V003=(13.0, 2.0), V004=(17.0, 2.0)))
    assert commands["V002"] == commands["V003"] == 10.0
    assert commands["V004"] == pytest.approx(1.2)


@pytest.fixture
def make(dataset_dir):
    opened = []

    def open_env(**options) -> ConvoyEnv:
        opened.append(ConvoyEnv(dataset_dir=dataset_dir, scenario_mode="eval", **options))
        return opened[-1]

    yield open_env
    for env in opened:
        env.close()


def with_peers_ahead(env, count):
    """Start the first evaluation episode with that many cars of the convoy ahead of the ego."""
    for scenario in env.dataset.eval:
        if scenario.drawn["convoy"]["peers_ahead"] >= count:
            env.reset(options={"scenario_id": scenario.scenario_id})
            return
    raise AssertionError(f"no scenario with {count} cars ahead")


def drive(env, cars, action=NOTHING):
    """Play the episode; true speeds of `cars` per decision, and the record."""
    info, speeds = {}, []
    while "record" not in info:
        state = env.state
        speeds.append([float(state.vehicles.speed_mps[state.vehicles.index[car]]) for car in cars])
        *_, info = env.step(action)
    return np.array(speeds), info["record"]


def test_in_a_pile_up_the_late_car_holds_its_speed_hits_and_both_stop_together(make):
    env = make(task=PILE_UP)
    with_peers_ahead(env, 2)
    course = env.episode.script.hazard_course
    speeds, record = drive(env, (course.hazard.vehicle_id, course.late_id))
    assert record.hazard_kind == "pile_up"
    onset = round(course.hazard.onset_s / 0.1 + 0.5)
    hazard_mps, late_mps = speeds[onset:].T
    contact = int(np.argmax(np.abs(late_mps - late_mps[0]) > 1.0))
    assert contact > 5
    assert late_mps[:contact] == pytest.approx(np.full(contact, late_mps[0]), abs=1e-6)
    assert hazard_mps[contact] == late_mps[contact] == pytest.approx((hazard_mps[contact - 1] + late_mps[0]) / 2)
    decel_mps2 = (late_mps[contact] - late_mps[contact + 1]) / 0.1
    assert 8.0 <= decel_mps2 <= 10.0
    assert hazard_mps[contact:] == pytest.approx(late_mps[contact:])


def test_the_leader_slows_down_later_in_a_pile_up_than_its_hazard_is_heard(make):
    """What makes the radio worth having: the message comes seconds before the car in view does anything."""
    env = make(task=PILE_UP)
    with_peers_ahead(env, 2)
    late_id, onset_s = env.episode.script.hazard_course.late_id, env.episode.script.hazard.onset_s
    speeds, record = drive(env, (late_id,))
    slows_s = 0.1 * float(np.argmax(speeds[:, 0] < speeds[round(onset_s * 10), 0] - 1.0))
    assert record.hazard_heard_s < slows_s - 0.5


def test_benign_braking_is_as_drawn_and_crashes_nobody(make):
    env = make(task={"hazard": {"probability": 0.0}, "benign": {"probability": 1.0}, "distraction": {"hazard_free_probability": 1.0}})
    with_peers_ahead(env, 1)
    benign = env.episode.script.benign
    speeds, record = drive(env, (benign.vehicle_id,))
    onset = round(benign.onset_s / 0.1 + 0.5)
    before_mps = speeds[onset, 0]
    assert -np.diff(speeds[onset : onset + 4, 0]) / 0.1 == pytest.approx(np.full(3, benign.decel_mps2), rel=0.05)
    assert speeds[onset : onset + 60, 0].min() == pytest.approx(before_mps * benign.end_speed_fraction, rel=0.05)
    assert speeds[onset + 60 :, 0].max() > before_mps * (benign.end_speed_fraction + 0.05)
    assert (record.benign_braking, record.hazard_fired, record.outcome) == (True, False, Outcome.SAFE)


def test_noise_is_drawn_from_what_was_watched_and_a_trend_is_no_noise():
    rng = np.random.default_rng(0)
    assert SpeedNoise([]).draw(rng) == 0.0
    steady = SpeedNoise(np.arange(20) * 0.3)
    assert max(abs(steady.draw(rng)) for _ in range(50)) < 1e-9
    true_std_mps = 0.02
    watched = SpeedNoise(10.0 + 0.1 * np.arange(2000) + true_std_mps * rng.standard_normal(2000))
    drawn = []
    for speed in 10.0 + true_std_mps * rng.standard_normal(3000):
        watched.watch(speed)
        drawn.append(watched.draw(rng))
    assert np.std(drawn) == pytest.approx(true_std_mps, rel=0.1)


def test_a_manoeuvre_is_not_taken_for_noise():
    noise = SpeedNoise([20.0, 20.0, 19.2, 18.4, 17.6, 17.6, 17.6])
    assert max(abs(noise.draw(np.random.default_rng(seed))) for seed in range(30)) <= 0.1


def test_the_held_speed_stays_and_is_as_noisy_as_before(make):
    task = {
        "hazard": {"probability": 0.0, "onset_s": {"low": 10.0, "high": 10.0}},
        "benign": {"probability": 0.0},
        "distraction": {
            "hazard_free_probability": 1.0,
            "unrelated_probability": 0.0,
            "lead_s": {"low": 0.0, "high": 0.0},
            "reaction_s": {"low": 8.0, "high": 8.0},
        },
        "horizon_s": 18.0,
    }
    env = make(task=task)
    ratios = []
    for scenario in env.dataset.eval[:8]:
        env.reset(options={"scenario_id": scenario.scenario_id})
        speeds, _ = drive(env, (scenario.ego_id,))
        driven, held = speeds[50:101, 0], speeds[101:178, 0]
        assert np.abs(held - driven[-1]).max() < 0.25
        ratios.append(np.std(np.diff(held, 2)) / max(np.std(np.diff(driven, 2)), 1e-3))
    assert 0.6 < np.median(ratios) < 1.6
