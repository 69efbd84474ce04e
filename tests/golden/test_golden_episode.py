"""One episode, recorded from the pinned SUMO: any change of its course is meant, or a defect.

Record it anew with `python tests/golden/test_golden_episode.py` and say in the commit why it changed.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from roadsense.env.convoy_env import ConvoyEnv
from roadsense.scenario.locate import default_base_dir

RECORD = Path(__file__).with_name("golden_episode.json")
STEPS = 200


def course() -> list[dict]:
    """A rural episode with a late, moderate braking of the ego; every tenth step."""
    task = {"hazard": {"probability": 1.0, "onset_s": {"low": 5.0, "high": 5.0}}}
    env = ConvoyEnv(sumo_cfg=default_base_dir() / "rural_curve" / "scenario.sumocfg", scenario_mode="eval", task=task)
    try:
        observation, info = env.reset(seed=1)
        rows = [{"scenario": info["scenario_id"], "hazard": env.episode.script.hazard.vehicle_id}]
        for step in range(STEPS):
            action = 0.4 if 60 <= step < 90 else 0.0
            observation, reward, terminated, truncated, _ = env.step(np.array([action], np.float32))
            if step % 10 == 0:
                situation = env.episode.situation
                rows.append(
                    {
                        "step": step,
                        "speed_mps": situation.speed_mps,
                        "gap_m": situation.gap_m,
                        "reward": reward,
                        "ego": observation["ego"].tolist(),
                        "peers": sorted(observation["peers"].values.tolist()),
                    }
                )
            if terminated or truncated:
                break
        return rows
    finally:
        env.close()


def test_the_episode_runs_as_recorded():
    recorded = json.loads(RECORD.read_text())
    now = course()
    assert now[0] == recorded[0]
    assert len(now) == len(recorded)
    for row, expected in zip(now[1:], recorded[1:], strict=True):
        assert row["step"] == expected["step"]
        for name in ("speed_mps", "gap_m", "reward"):
            assert row[name] == pytest.approx(expected[name], abs=1e-9), (name, row["step"])
        assert row["ego"] == pytest.approx(expected["ego"], abs=1e-6)
        assert np.array(row["peers"]) == pytest.approx(np.array(expected["peers"]), abs=1e-6)


if __name__ == "__main__":
    RECORD.write_text(json.dumps(course(), indent=1) + "\n")
