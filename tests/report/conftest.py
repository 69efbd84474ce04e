"""A real evaluation with crashes, a run directory around it, and a real browser."""

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for browser
from browser import CHROMIUM, Browser

from roadsense.cli import main
from roadsense.evaluation.episode_table import read_episodes, records_of
from roadsense.report.episode.recording import record_episode
from roadsense.report.episode.stage import stage

JUDGED = "experiments.own_parts:keep_distance"


@pytest.fixture(scope="session")
def evaluation_dir(tmp_path_factory, dataset_dir, repository):
    """A policy of one's own beside ttc_radio, always_brake and never_brake: twice the six scenarios, 14 s each."""
    output = tmp_path_factory.mktemp("evaluated") / "own_policy"
    before = Path.cwd()
    os.chdir(repository)  # own policies are modules of the working directory
    try:
        words = [
            "evaluate",
            "--policy",
            JUDGED,
            "--compare",
            "ttc_radio,always_brake",
            "--dataset_dir",
            dataset_dir,
            "--output_dir",
            output,
        ]
        short = ["--rounds", 2, "--num_workers", 1, "--set", "task.horizon_s=14", "--set", 'task.hazard.onset_s={"low":2,"high":7}']
        assert main([str(word) for word in [*words, *short]]) == 0
    finally:
        os.chdir(before)
    return output


@pytest.fixture(scope="session")
def run_like(tmp_path_factory, evaluation_dir):
    """The same as a run directory of training would hold it: config, progress, provenance and a training time."""
    folder = shutil.copytree(evaluation_dir, tmp_path_factory.mktemp("runs") / "run_a")
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics |= {
        "training": {
            "training_timesteps": 12_345,
            "episodes": 61,
            "elapsed_s": 90.0,
            "steps_per_s": 137.2,
            "worker_restarts": 1,
            "faults": 0,
        }
    }
    metrics["config"] |= {"run_id": "run_a"}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "config.json").write_text(json.dumps(metrics["config"]))
    columns = [
        "timesteps",
        "episode_return",
        "hazard_collision_rate",
        "false_braking_rate",
        "entropy",
        "value_explained_variance",
        "steps_per_s",
    ]
    with (folder / "progress.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        rows.writerows([1000 * row, 0.1 * row, "" if row == 1 else 0.5 / row, 0.1 / row, 0.3, 0.5, 900] for row in range(1, 31))
    provenance = {
        "git_commit": "c0ffee",
        "command": ["roadsense", "train"],
        "cores": 2,
        "seed": 3,
        "artifacts_sha256": {"metrics.json": "0" * 64},
    }
    (folder / "provenance.json").write_text(json.dumps(provenance))
    return folder


@pytest.fixture(scope="session")
def crash(evaluation_dir, dataset_dir):
    """The recording of an episode in which never_brake crashed into a hazard, and its row in the table."""
    table = read_episodes(evaluation_dir / "episodes.parquet")
    row, values = next(
        (row, values)
        for row, values in enumerate(table)
        if values["policy"] == "never_brake" and values["outcome"] == "collision" and values["hazard_fired"]
    )
    env = stage(evaluation_dir, training=False)
    try:
        return record_episode(env, next(records_of([values])), "never_brake"), row
    finally:
        env.close()


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all tests that are marked `browser`."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    opened = Browser()
    yield opened
    opened.close()
