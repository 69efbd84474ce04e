"""Own hazards, reward terms and policies from outside the package: the example that the documentation shows."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from roadsense.env.convoy_env import ConvoyEnv
from roadsense.errors import ConfigError

ROOT = Path(__file__).parents[2]
OWN = "experiments.own_parts"
TASK = {
    "hazard": {"source": f"{OWN}:two_taps", "probability": 1.0, "onset_s": {"low": 3.0, "high": 4.0}},
    "reward": {"extra": {f"{OWN}:tailgating": 0.1}},
    "horizon_s": 15.0,
}


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def env(dataset_dir):
    environment = ConvoyEnv(dataset_dir=dataset_dir, scenario_mode="eval", task=TASK)
    yield environment
    environment.close()


def test_the_example_is_short():
    code = [line for line in (ROOT / "experiments/own_parts.py").read_text().split('"""', 2)[2].splitlines() if line.strip()]
    assert len(code) <= 30


def test_own_hazard_and_own_term_are_what_an_episode_runs_on(env):
    env.reset(options={"scenario_id": next(s.scenario_id for s in env.dataset.eval if len(s.peer_ids) >= 3)})
    assert env.episode.script.hazard.kind == "two_taps"
    info, speeds_mps = {}, []
    while "record" not in info:
        car = env.episode.script.hazard.vehicle_id
        speeds_mps.append(float(env.state.vehicles.speed_mps[env.state.vehicles.index[car]]))
        *_, info = env.step(np.zeros(1, np.float32))
    record = info["record"]
    assert (record.hazard_fired, record.hazard_kind) == (True, "two_taps")
    assert record.reward_terms["tailgating"] < 0
    first = round(record.hazard_onset_s / 0.1 + 0.5)
    decels_mps2 = -np.diff(speeds_mps)[first : first + 18] / 0.1
    assert decels_mps2[:9] == pytest.approx(np.full(9, record.hazard_decel_mps2), rel=0.05)
    assert decels_mps2[11:] == pytest.approx(np.zeros(len(decels_mps2) - 11), abs=0.05)


def test_the_own_term_enters_the_reward(env):
    plain = ConvoyEnv(dataset=env.dataset, scenario_mode="eval", task=TASK | {"reward": {}})
    try:
        rewards = []
        for environment in (env, plain):
            environment.reset()
            _, reward, _, _, info = environment.step(np.zeros(1, np.float32))
            rewards.append((reward, info["reward_terms"].get("tailgating", 0.0)))
    finally:
        plain.close()
    assert rewards[0][0] == pytest.approx(rewards[1][0] + 0.1 * rewards[0][1])


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"hazard": {"source": "no_colon"}}, "is not of the form module:function"),
        ({"hazard": {"source": "nowhere:draw"}}, "cannot import 'nowhere'"),
        ({"hazard": {"source": f"{OWN}:absent"}}, "has no 'absent'"),
        ({"hazard": {"source": "math:pi"}}, "is a float"),
        ({"reward": {"extra": {"nowhere:term": 1.0}}}, "cannot import 'nowhere'"),
        ({"reward": {"extra": {"a:term": 1.0, "b:progress": 1.0}}}, "cannot import 'a'"),
    ],
)
def test_a_part_that_cannot_be_used_is_refused_when_the_environment_is_made(dataset_dir, task, message):
    with pytest.raises(ConfigError, match=message):
        ConvoyEnv(dataset_dir=dataset_dir, task=task)


def test_a_term_must_not_take_a_built_in_name(dataset_dir, tmp_path, monkeypatch):
    (tmp_path / "clash.py").write_text("def progress(step):\n    return 0.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="there is a term 'progress' already"):
        ConvoyEnv(dataset_dir=dataset_dir, task={"reward": {"extra": {"clash:progress": 1.0}}})


def test_a_source_that_returns_no_course_is_named(dataset_dir, tmp_path, monkeypatch):
    (tmp_path / "careless.py").write_text("def draw(cars_ahead, settings, rng):\n    return 7\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    environment = ConvoyEnv(dataset_dir=dataset_dir, scenario_mode="eval", task={"hazard": {"source": "careless:draw", "probability": 1.0}})
    try:
        with pytest.raises(ConfigError, match="returned a int; return a HazardCourse or None"):
            environment.reset(options={"scenario_id": next(s.scenario_id for s in environment.dataset.eval if len(s.peer_ids) >= 3)})
    finally:
        environment.close()


def test_the_example_runs_from_the_command_line(dataset_dir, tmp_path):
    """As its header says; the working directory is where own modules are found."""
    command = [sys.executable, "-m", "roadsense", "evaluate", "--dataset_dir", str(dataset_dir), "--policy", f"{OWN}:keep_distance"]
    command += ["--eval_episodes", "4", "--output_dir", str(tmp_path), "--set", f"task.hazard.source={OWN}:two_taps"]
    command += ["--set", "task.horizon_s=12", "--set", f'task.reward.extra={{"{OWN}:tailgating": 0.1}}']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "metrics.json").read_text())["evaluation"]
    assert figures["avg_reward_terms"]["tailgating"] < 0
