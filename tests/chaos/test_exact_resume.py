"""To N straight, and half of it, SIGKILL, resumed to N: with `--exact` the same weights to the last bit, and nothing driven twice."""

import csv
import hashlib
import os
import shutil
import signal
import time

import pyarrow.parquet as pq
import pytest
from tests_support import metrics, roadsense, start

# A short task, so that episodes end within fragments and go on over them.
SHORT = ("--set", "task.horizon_s=6", "--set", "task.warm_up_s=2")
RUN = (
    "--num_env_runners", 2, "--num_envs_per_env_runner", 2, "--n_steps", 200, "--minibatch_size", 100, "--num_epochs", 2,
    "--total_timesteps", 1600, "--checkpoint_every", 800, "--learning_rate_final", 1e-4, "--ent_coef_final", 0.001, "--skip_eval", "--exact", *SHORT,
)  # fmt: skip


def sha256(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def identities(root) -> list[str]:
    parts = sorted((root / "training_episodes").glob("*.parquet"))
    return [row["identity"] for part in parts for row in pq.read_table(part).to_pylist()]


def kill_after_checkpoint(process, root, name: str) -> None:
    """SIGKILL in the iteration after the checkpoint."""
    deadline_s = time.monotonic() + 200
    try:
        while not (root / "checkpoints" / name).exists():
            assert process.poll() is None and time.monotonic() < deadline_s, f"no {name}, exit code {process.returncode}"
            time.sleep(0.02)
        time.sleep(0.3)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_and_resumed_run_is_the_run_that_was_never_killed(dataset_dir, tmp_path):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    done = roadsense("train", "--dataset_dir", dataset_dir, "--output_dir", straight, *RUN)
    assert done.returncode == 0, done.stderr
    process = start("train", "--dataset_dir", dataset_dir, "--output_dir", killed, *RUN)
    kill_after_checkpoint(process, killed, "step_000000800")
    assert not (killed / "model_final.zip").exists()
    shutil.rmtree(killed / "tensorboard")  # nothing of the training depends on it
    done = roadsense("train", "--resume", killed)
    assert done.returncode == 0, done.stderr
    assert sha256(killed / "model_final.zip") == sha256(straight / "model_final.zip")
    one, other = metrics(straight)["training"], metrics(killed)["training"]
    for name in ("training_timesteps", "iterations", "episodes", "faults", "reward_trend", "quarantined"):
        assert one[name] == other[name], name
    assert identities(killed) == identities(straight)
    assert len(set(identities(killed))) == len(identities(killed)) > 0
    assert {label.split("/")[1] for label in identities(killed)} == {"0", "1"}
    series = [[row["timesteps"] for row in csv.DictReader((root / "progress.csv").open())] for root in (straight, killed)]
    assert series[0] == series[1] == ["400", "800", "1200", "1600"]
    assert os.listdir(killed / "tensorboard")  # noqa: PTH208


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_without_exactness_the_counters_are_the_same_and_nothing_is_driven_twice(dataset_dir, tmp_path):
    root = tmp_path / "run"
    run = [word for word in RUN if word != "--exact"]
    process = start("train", "--dataset_dir", dataset_dir, "--output_dir", root, *run)
    kill_after_checkpoint(process, root, "step_000000800")
    done = roadsense("train", "--resume", root)
    assert done.returncode == 0, done.stderr
    training = metrics(root)["training"]
    assert (training["training_timesteps"], training["iterations"]) == (1600, 4)
    found = identities(root)
    assert len(set(found)) == len(found) == training["episodes"]
    assert {label.split("/")[1] for label in found} == {"0", "1"}
