"""Every figure can get worse: each is shown a real drive in which the behaviour that it measures was broken, and must notice."""

import numpy as np
import pytest

from roadsense.env.convoy_env import ConvoyEnv
from roadsense.evaluation.judgement import judge
from roadsense.evaluation.reference import REFERENCE_POLICIES
from roadsense.evaluation.rollout import play_evaluation_episode

TASK = {
    "hazard": {"probability": 1.0, "onset_s": {"low": 4.0, "high": 8.0}, "resolve_probability": 0.0},
    "distraction": {"unrelated_probability": 0.0, "reaction_s": {"low": 4.0, "high": 4.5}},
    "horizon_s": 20.0,
}
ROUNDS = 2


class Late:
    """A good driver, so many steps late."""

    def __init__(self, steps):
        self.inner, self.steps = REFERENCE_POLICIES["ttc_perfect_radio"](), steps

    def begin(self, rng):
        self.inner.begin(rng)
        self.waiting = [0.0] * self.steps

    def attach(self, world):
        self.inner.attach(world)

    def __call__(self, observation):
        self.waiting.append(self.inner(observation))
        return self.waiting.pop(0)


class Tapping(Late):
    """The same driver, who brakes and lets go by turns."""

    def __init__(self):
        super().__init__(0)
        self.presses = False

    def __call__(self, observation):
        self.presses = not self.presses
        return super().__call__(observation) if self.presses else 0.0


class Soft(Late):
    """Brakes in time, but with a fifth of what the brakes give."""

    def __init__(self):
        super().__init__(0)
        self.inner = REFERENCE_POLICIES["oracle"]()

    def __call__(self, observation):
        return 0.2 * super().__call__(observation)


@pytest.fixture(scope="module")
def records(dataset_dir):
    """Records of each driver on identical episodes, each with a hazard."""
    drivers = {
        "good": Late(0), "late": Late(6), "very late": Late(25), "tapping": Tapping(), "soft": Soft(),
        **{name: REFERENCE_POLICIES[name]() for name in ("never_brake", "always_brake", "oracle")},
    }  # fmt: skip
    env = ConvoyEnv(dataset_dir=dataset_dir, scenario_mode="eval", task=TASK)
    try:
        ids = [s.scenario_id for s in env.dataset.eval if s.drawn["convoy"]["peers_ahead"] > 0]
        return {
            name: [play_evaluation_episode(env, driver, scenario_id, place) for place in range(ROUNDS) for scenario_id in ids]
            for name, driver in drivers.items()
        }
    finally:
        env.close()


@pytest.fixture(scope="module")
def figures(records):
    return judge(records).figures


@pytest.mark.parametrize(
    ("figure", "better", "worse", "least_change"),
    [
        ("hazard_collision_rate", "good", "never_brake", 0.3),
        ("collision_rate", "good", "never_brake", 0.3),
        ("critical_hazard_collision_rate", "good", "very late", 0.15),
        ("false_braking_rate", "good", "always_brake", 0.9),
        ("avg_reaction_s", "good", "late", 0.4),
        ("unsafe_share", "good", "very late", 0.005),
        ("avg_peak_braking_mps2", "good", "very late", 0.3),
        ("avg_rms_jerk_mps3", "good", "tapping", 1.0),
    ],
)
def test_a_figure_rises_with_what_it_measures(figures, figure, better, worse, least_change):
    assert figures[worse][figure] - figures[better][figure] > least_change


@pytest.mark.parametrize(
    ("figure", "better", "worse", "least_change"),
    [
        ("reaction_rate", "good", "always_brake", 0.9),  # who brakes all along does not react
        ("avg_min_gap_m", "good", "never_brake", 2.0),
        ("avg_min_time_to_collision_s", "good", "never_brake", 0.5),
        ("avg_progress_m", "good", "always_brake", 50.0),
        ("avg_reward", "good", "never_brake", 1.0),
        ("avg_reward", "good", "always_brake", 0.2),
    ],
)
def test_a_figure_falls_with_what_it_measures(figures, figure, better, worse, least_change):
    assert figures[better][figure] - figures[worse][figure] > least_change


def test_a_harder_impact_is_seen_where_both_crash(records):
    pairs = zip(records["soft"], records["never_brake"], strict=True)
    both = [(soft, never) for soft, never in pairs if soft.collided and never.collided]
    judged = judge({"soft": [soft for soft, _ in both], "never_brake": [never for _, never in both]}).figures
    assert judged["never_brake"]["avg_impact_speed_mps"] - judged["soft"]["avg_impact_speed_mps"] > 0.5


def test_full_braking_at_the_onset_avoids_what_can_be_avoided(figures):
    assert figures["oracle"]["hazard_collision_rate"] == 0.0
    assert figures["oracle"]["false_braking_rate"] == 0.0


def test_leaving_the_road_is_no_success(dataset_dir):
    """With tyres that hold a quarter of what the bend asks for the ego leaves it: neither safe nor a collision."""
    always_distracted = {"hazard_free_probability": 1.0, "lead_s": {"low": 30.0, "high": 30.0}, "reaction_s": {"low": 40.0, "high": 40.0}}
    task = {"hazard": {"probability": 0.0}, "benign": {"probability": 0.0}, "distraction": always_distracted, "max_lateral_accel_mps2": 1.0}
    env = ConvoyEnv(dataset_dir=dataset_dir, scenario_mode="eval", task=task)
    try:
        curve = next(s.scenario_id for s in env.dataset.eval if s.base == "rural_curve")
        record = play_evaluation_episode(env, REFERENCE_POLICIES["never_brake"](), curve, 0)
    finally:
        env.close()
    assert record.outcome.value == "left_road"
    figures = judge({"never_brake": [record]}).figures["never_brake"]
    assert (figures["truncation_rate"], figures["collision_rate"]) == (0.0, 0.0)


def test_a_hazard_that_nobody_can_hear_lowers_what_is_heard(dataset_dir, tmp_path):
    """A radio out of range: no hazard message, no reaction to it."""
    import json

    from roadsense.radio.profiles import packaged_profile

    content = json.loads(packaged_profile("convoy").read_text())
    content["packet_loss"]["loss_probabilities"] = [1.0] * len(content["packet_loss"]["loss_probabilities"])
    silent = tmp_path / "silent.json"
    silent.write_text(json.dumps(content))
    env = ConvoyEnv(dataset_dir=dataset_dir, scenario_mode="eval", task=TASK, emulator_params_path=silent)
    try:
        scenario_id = next(s.scenario_id for s in env.dataset.eval if s.drawn["convoy"]["peers_ahead"] > 0)
        records = [play_evaluation_episode(env, REFERENCE_POLICIES["ttc_radio"](), scenario_id, place) for place in range(2)]
    finally:
        env.close()
    figures = judge({"deaf": records}).figures["deaf"]
    assert figures["hazard_heard_rate"] == 0.0
    assert figures["reaction_rate"] is None


def test_being_hit_from_behind_is_an_outcome_of_its_own(dataset_dir):
    """A car behind that holds its speed runs into an ego that stops: neither a success nor the ego's collision."""
    env = ConvoyEnv(dataset_dir=dataset_dir, scenario_mode="eval", task={"hazard": {"probability": 0.0}, "horizon_s": 15.0})
    try:
        scenario = next(s for s in env.dataset.eval if len(s.peer_ids) > s.drawn["convoy"]["peers_ahead"] > 0)
        env.reset(options={"scenario_id": scenario.scenario_id})
        follower = f"V{scenario.drawn['convoy']['peers_ahead'] + 2:03d}"
        episode, held_mps = env.episode, float(env.state.vehicles.speed_mps[env.state.vehicles.index[follower]])
        plain = episode.before_step
        episode.before_step = lambda action, state: [*plain(action, state), hold(follower, held_mps)]
        info = {}
        while "record" not in info:
            *_, info = env.step(np.ones(1, np.float32))
    finally:
        env.close()
    assert info["record"].outcome.value == "ego_rear_ended"
    assert not info["record"].collided


def hold(vehicle_id, speed_mps):
    from roadsense.state import SpeedCommand

    return SpeedCommand(vehicle_id=vehicle_id, speed_mps=speed_mps)
